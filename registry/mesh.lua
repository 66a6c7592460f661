#!lua name=mesh_v1
-- The functions of the store on Redis: whatever must be one step although it touches several keys
-- or depends on what is there. Keys: registry/keys.h. Replies: a verdict, or an array that starts
-- with one. Time is this server's (TIME), so that all clients agree about what has expired.
-- registry/functions.h is made from this file by registry/embed.sh.

local REVISION = 2
local OK, MISSING, FENCED, EXISTS, FULL, BUSY, INVALID = 1, 2, 3, 4, 5, 6, 8
local FIELDS_MAX = 40
local DONE_MAX, DEAD_MAX, SWEEP_MAX = 4096, 1024, 64
local BLOB_PARTIAL_S, BLOB_COMPLETE_S = 3600, 604800
local BLOB_CHUNK = 32768

local function now_us()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

local function int(n)
  return string.format('%.0f', n)
end

local function register(name, callback, ...)
  redis.register_function{function_name = 'mesh_v1_' .. name, callback = callback, flags = {...}}
end

register('revision', function() return REVISION end, 'no-writes')

-- Records. Pairs of name and value are args[first] to args[last]; `more` fields come beside them.
local function fits(key, args, first, last, more)
  local count = redis.call('HLEN', key) + more
  if count + (last - first + 1) / 2 <= FIELDS_MAX then return true end
  local seen = {}
  for i = first, last, 2 do
    if not seen[args[i]] then
      seen[args[i]] = true
      if redis.call('HEXISTS', key, args[i]) == 0 then count = count + 1 end
    end
  end
  return count <= FIELDS_MAX
end

-- A collection counts its members in the order of joining: a scan's cursor is the last number seen.
local function join(collection, member)
  if redis.call('ZSCORE', collection, member) then return end
  local last = redis.call('ZREVRANGE', collection, 0, 0, 'WITHSCORES')
  redis.call('ZADD', collection, int((tonumber(last[2]) or 0) + 1), member)
end

-- keys: record [, collection]; args: key of the record, name, value, ..
register('put', function(keys, args)
  if not fits(keys[1], args, 2, #args, 0) then return FULL end
  redis.call('HSET', keys[1], unpack(args, 2))
  if keys[2] then join(keys[2], args[1]) end
  return OK
end)

-- As put; the first pair is the epoch.
register('epoch_put', function(keys, args)
  local epoch = redis.call('HGET', keys[1], 'epoch')
  if epoch and (tonumber(epoch) or 0) > tonumber(args[3]) then return {FENCED, epoch} end
  if not fits(keys[1], args, 2, #args, 0) then return {FULL, epoch or '0'} end
  redis.call('HSET', keys[1], unpack(args, 2))
  if keys[2] then join(keys[2], args[1]) end
  return {OK, args[3]}
end)

-- As epoch_put, for each record. keys: records [, collection]; args: epoch, how many records; then of
-- each its key, how many pairs, and the pairs. Replies the first that is not OK; the others are written.
register('epoch_puts', function(keys, args)
  local wanted, count, at, reply = tonumber(args[1]), tonumber(args[2]), 3, nil
  for i = 1, count do
    local first, last = at + 2, at + 1 + 2 * tonumber(args[at + 1])
    local epoch = redis.call('HGET', keys[i], 'epoch')
    if epoch and (tonumber(epoch) or 0) > wanted then
      reply = reply or {FENCED, epoch}
    elseif not fits(keys[i], args, first, last, epoch and 0 or 1) then
      reply = reply or {FULL, epoch or '0'}
    else
      if epoch ~= args[1] then redis.call('HSET', keys[i], 'epoch', args[1]) end
      if last > first then redis.call('HSET', keys[i], unpack(args, first, last)) end
      if keys[count + 1] then join(keys[count + 1], args[at]) end
    end
    at = last + 1
  end
  return reply or {OK, args[1]}
end)

-- keys: record [, collection]; args: key of the record
register('remove', function(keys, args)
  if keys[2] then redis.call('ZREM', keys[2], args[1]) end
  return redis.call('DEL', keys[1]) == 1 and OK or MISSING
end, 'allow-oom')

-- keys: collection; args: prefix of record keys, cursor, limit
register('scan', function(keys, args)
  local rows = redis.call('ZRANGE', keys[1], '(' .. args[2], '+inf', 'BYSCORE',
                          'LIMIT', 0, args[3], 'WITHSCORES')
  local reply = {OK, '0'}
  for i = 1, #rows, 2 do
    local fields = redis.pcall('HGETALL', args[1] .. rows[i])
    if not fields.err and #fields > 0 then reply[#reply + 1] = {rows[i], fields} end
  end
  if #rows == 2 * tonumber(args[3]) then reply[2] = rows[#rows] end
  return reply
end, 'no-writes')

-- Leases. The hash stays for ever, because it carries the epoch.
local function lease_read(key)
  local held = redis.call('HMGET', key, 'owner', 'epoch', 'expires_us', 'ttl_us')
  return held[1] or '', tonumber(held[2] or 0) or 0, tonumber(held[3] or 0) or 0,
         tonumber(held[4] or 0) or 0
end

local function lease_write(key, owner, epoch, expires, ttl)
  redis.call('HSET', key, 'owner', owner, 'epoch', int(epoch), 'expires_us', int(expires),
             'ttl_us', int(ttl))
end

-- keys: lease; args: owner, ttl_us, least epoch wanted
register('lease_acquire', function(keys, args)
  local owner, epoch, expires, ttl = lease_read(keys[1])
  local now, wanted = now_us(), tonumber(args[3])
  if expires > now and owner ~= args[1] then
    -- The clock went back: nobody waits longer than the lease was meant to last.
    if expires - now > ttl then lease_write(keys[1], owner, epoch, now + ttl, ttl) end
    return {BUSY, int(epoch)}
  end
  if expires <= now then epoch = epoch + 1 end
  epoch = math.max(epoch, wanted)
  lease_write(keys[1], args[1], epoch, now + tonumber(args[2]), tonumber(args[2]))
  return {OK, int(epoch)}
end)

-- keys: lease; args: owner, epoch, ttl_us
register('lease_renew', function(keys, args)
  local owner, epoch, expires = lease_read(keys[1])
  local now = now_us()
  if owner ~= args[1] or epoch ~= tonumber(args[2]) or expires <= now then
    return {FENCED, int(epoch)}
  end
  lease_write(keys[1], owner, epoch, now + tonumber(args[3]), tonumber(args[3]))
  return {OK, int(epoch)}
end, 'allow-oom')

-- keys: lease; args: owner, epoch
register('lease_release', function(keys, args)
  local owner, epoch = lease_read(keys[1])
  if owner ~= args[1] or epoch ~= tonumber(args[2]) then return {FENCED, int(epoch)} end
  redis.call('HSET', keys[1], 'expires_us', '0')
  return {OK, int(epoch)}
end, 'allow-oom')

-- Queues. keys: queue, ready, claimed, done, dead; args[1]: prefix of job keys.
local QUEUE, READY, CLAIMED, DONE, DEAD = 1, 2, 3, 4, 5

local function job_key(args, id)
  return args[1] .. '{' .. id .. '}'
end

local function ready_member(seq, id)
  return string.format('%016.0f', seq) .. ':' .. id
end

-- To the end of its priority.
local function make_ready(keys, job, id, priority)
  local seq = redis.call('HINCRBY', keys[QUEUE], 'seq', 1)
  redis.call('HSET', job, 'state', 'ready', 'owner', '', 'seq', int(seq))
  redis.call('ZADD', keys[READY], string.format('%.17g', -tonumber(priority)),
             ready_member(seq, id))
end

-- Keeps the newest `kept` of a list of ended jobs.
local function retire(keys, args, list, id, kept, counter)
  redis.call('ZADD', keys[list], redis.call('HINCRBY', keys[QUEUE], 'seq', 1), id)
  while redis.call('ZCARD', keys[list]) > kept do
    redis.call('DEL', job_key(args, redis.call('ZPOPMIN', keys[list])[1]))
    if counter then redis.call('HINCRBY', keys[QUEUE], counter, 1) end
  end
end

-- args: prefix, id, priority, limit, body
register('enqueue', function(keys, args)
  local job = job_key(args, args[2])
  if redis.call('EXISTS', job) == 1 then return EXISTS end
  if redis.call('ZCARD', keys[READY]) + redis.call('ZCARD', keys[CLAIMED]) >= tonumber(args[4]) then
    return FULL
  end
  redis.call('HSET', job, 'priority', args[3], 'attempt', '0', 'enqueued_us', int(now_us()),
             'body', args[5])
  make_ready(keys, job, args[2], args[3])
  return OK
end)

-- args: prefix, owner, limit, ttl_us
register('claim', function(keys, args)
  local now = now_us()
  local expired = redis.call('ZRANGE', keys[CLAIMED], '-inf', int(now), 'BYSCORE',
                             'LIMIT', 0, SWEEP_MAX)
  for _, id in ipairs(expired) do
    redis.call('ZREM', keys[CLAIMED], id)
    local priority = redis.call('HGET', job_key(args, id), 'priority')
    if priority then
      make_ready(keys, job_key(args, id), id, priority)
      redis.call('HDEL', job_key(args, id), 'last')
    end
  end
  local reply = {OK}
  local expires = int(now + tonumber(args[4]))
  for _, member in ipairs(redis.call('ZRANGE', keys[READY], 0, tonumber(args[3]) - 1)) do
    local id = member:sub(18)
    local job = job_key(args, id)
    local body = redis.call('HGET', job, 'body')
    redis.call('ZREM', keys[READY], member)
    if body then
      local attempt = redis.call('HINCRBY', job, 'attempt', 1)
      redis.call('HSET', job, 'state', 'claimed', 'owner', args[2], 'expires_us', expires)
      redis.call('ZADD', keys[CLAIMED], expires, id)
      reply[#reply + 1] = {id, attempt, body}
    end
  end
  return #reply > 1 and reply or {MISSING}
end)

-- Is the job in this state, under this owner and attempt? args: prefix, id, owner, attempt.
local function in_state(args, state, owner_field)
  local job = redis.call('HMGET', job_key(args, args[2]),
                         'state', owner_field or 'owner', 'attempt')
  return job[1] == state and job[2] == args[3] and job[3] == args[4]
end

-- args: prefix, id, owner, attempt, ttl_us
register('job_renew', function(keys, args)
  if not in_state(args, 'claimed') then return FENCED end
  local expires = int(now_us() + tonumber(args[5]))
  redis.call('HSET', job_key(args, args[2]), 'expires_us', expires)
  redis.call('ZADD', keys[CLAIMED], expires, args[2])
  return OK
end, 'allow-oom')

-- args: prefix, id, owner, attempt. The id is remembered, the body goes.
register('finish', function(keys, args)
  if in_state(args, 'done') then return OK end
  if not in_state(args, 'claimed') then return FENCED end
  local job = job_key(args, args[2])
  redis.call('ZREM', keys[CLAIMED], args[2])
  redis.call('HDEL', job, 'body')
  redis.call('HSET', job, 'state', 'done')
  retire(keys, args, DONE, args[2], DONE_MAX)
  return OK
end, 'allow-oom')

-- args: prefix, id, owner, attempt. `last` lets the same request succeed twice.
register('requeue', function(keys, args)
  if in_state(args, 'ready', 'last') then return OK end
  if not in_state(args, 'claimed') then return FENCED end
  local job = job_key(args, args[2])
  redis.call('ZREM', keys[CLAIMED], args[2])
  make_ready(keys, job, args[2], redis.call('HGET', job, 'priority'))
  redis.call('HSET', job, 'last', args[3])
  return OK
end, 'allow-oom')

-- args: prefix, id, owner, attempt, why. The body stays for whoever looks into it.
register('dead_letter', function(keys, args)
  if in_state(args, 'dead') then return OK end
  if not in_state(args, 'claimed') then return FENCED end
  redis.call('ZREM', keys[CLAIMED], args[2])
  redis.call('HSET', job_key(args, args[2]), 'state', 'dead', 'why', args[5])
  retire(keys, args, DEAD, args[2], DEAD_MAX, 'dead_dropped')
  return OK
end, 'allow-oom')

-- Blobs. keys: blob; args: total, number of the chunk, body
register('blob_put', function(keys, args)
  local total = redis.call('HGET', keys[1], 'total')
  if total and total ~= args[1] then return INVALID end
  local old = redis.call('HGET', keys[1], 'c' .. args[2])
  if old ~= args[3] then redis.call('HSET', keys[1], 'total', args[1], 'c' .. args[2], args[3]) end
  local have = redis.call('HINCRBY', keys[1], 'have', old and 0 or #args[3])
  if old and old ~= args[3] then -- mended: it may have had another length
    have = 0
    for i = 0, math.ceil(args[1] / BLOB_CHUNK) - 1 do
      have = have + #(redis.call('HGET', keys[1], 'c' .. i) or '')
    end
    redis.call('HSET', keys[1], 'have', have)
  end
  redis.call('EXPIRE', keys[1], have == tonumber(args[1]) and BLOB_COMPLETE_S or BLOB_PARTIAL_S)
  return old == args[3] and EXISTS or OK
end)

-- keys: blob; args: number of the chunk
register('blob_get', function(keys, args)
  local blob = redis.call('HMGET', keys[1], 'total', 'have', 'c' .. args[1])
  if not blob[1] or blob[1] ~= blob[2] or not blob[3] then return {MISSING} end
  return {OK, blob[1], blob[3]}
end, 'no-writes')
