// What others ask of the agent: queue, handler, hold, answer (docs/PROTOCOL.md, What an agent does, 3 to 6).
//
//     queued --a handler is free--> running --READY before T, TIMING_AT--> held --T--> answered
//                                      `------------------------------------------------^
import { Window } from './frame.mjs';
import { enums, Long } from './proto.mjs';
import { localUs } from './meshtime.mjs';

const OUTCOME = enums('Outcome'),
    REASON = enums('Reason'),
    TIMING = enums('Timing');
const TASKS_MAX = 64; // queued, running and held; one more is refused (OVERLOAD)
const HANDLERS_MAX = 8; // running at one time
const KEPT_MAX = 40; // final acknowledgements that can be said again; the oldest give way
const PENDING_MS = 250,
    WORD_MS = 200,
    WORD_BYTES = 96,
    ANSWER_BYTES = 1024,
    VALUE_BYTES = 256,
    AGEING_US = 2e6;
const TIMER_MS_MAX = 2 ** 31 - 1;

// What a handler's conflict() throws: its answer differs from what was expected.
class Conflict extends Error {
    constructor(expected, received) {
        super('conflict');
        this.detail = {
            type: enums('ConflictType').CONFLICT_DATA_CONTRADICTION,
            expected_value: Buffer.from(expected).subarray(0, VALUE_BYTES),
            received_value: Buffer.from(received).subarray(0, VALUE_BYTES),
        };
    }
}

// A serial number of 32 bits as one that only grows, near the newest.
class Serial {
    constructor() {
        this.window = new Window();
    }
    wide(seq) {
        const top = this.window.top;
        return top === 0n ? 2n ** 32n + BigInt(seq) : top + BigInt.asIntN(32, BigInt(seq) - top);
    }
    look(seq) {
        return this.window.look(this.wide(seq));
    }
    take(seq) {
        this.window.take(this.wide(seq));
    }
}

export class Work {
    // say(priority, fields), sayRelay(fields): send an ACK, a RELAY_ACK. time: MeshTime. offers: capability names.
    // handlers: action -> {run, release}.
    constructor({ time, offers, handlers, say, sayRelay }) {
        Object.assign(this, { time, offers: new Set(offers), handlers, say, sayRelay });
        this.tasks = new Map(); // id -> task
        this.kept = new Map(); // id -> its final acknowledgement
        this.ready = new Map(); // priority:seq -> true, of those that ended READY
        this.frozen = false;
        this.done = 0;
        this.failed = 0;
        this.processingMs = 0; // smoothed
        this.newLead();
    }

    newLead() {
        this.windows = [0, 1, 2, 3].map(() => new Serial());
        this.ready.clear();
    }

    get depth() {
        return [...this.tasks.values()].filter((t) => t.state === 'queued' || t.state === 'running')
            .length;
    }

    // An acknowledgement. Authors of agents' messages wait for the outcome alone, and get it in any case.
    tell(op, relayed, fields) {
        const { outcome, reason, answer } = fields;
        if (!relayed) {
            if (op.require_ack) this.say(op.priority, fields);
        } else if (outcome !== OUTCOME.OUTCOME_PENDING) {
            const took = outcome === OUTCOME.OUTCOME_READY || outcome === OUTCOME.OUTCOME_CONFLICT;
            this.sayRelay({
                message_id: op.message_id,
                reached: took ? 1 : 0,
                failed: took ? 0 : 1,
                outcome,
                ...(reason ? { reason } : {}),
                ...(answer?.length ? { answer } : {}),
            });
        }
    }

    // seq: 0 when the lead gave none, and for messages of agents (relayed).
    operate(record, op, seq, receivedUs, relayed = false) {
        const id = Buffer.from(op.message_id).toString('hex'),
            window = this.windows[op.priority];
        const base = {
            message_id: op.message_id,
            seq,
            echo_sent_us: Long.fromString(record.sentUs.toString()),
            received: this.time.known ? this.time.now(receivedUs) : 0,
        };
        const say = (fields) => this.tell(op, relayed, { ...base, ...fields });
        const refuse = (reason) =>
            say({ outcome: OUTCOME.OUTCOME_REFUSED, reason, actual_arrival_time: base.received });
        const task = this.tasks.get(id),
            kept = this.kept.get(id);
        if (task) {
            task.base.echo_sent_us = base.echo_sent_us;
            return say({ outcome: OUTCOME.OUTCOME_PENDING });
        }
        if (kept)
            return kept.outcome === undefined
                ? undefined
                : this.tell(op, relayed, { ...kept, echo_sent_us: base.echo_sent_us });
        const look = seq === 0 ? 'new' : window.look(seq);
        if (look === 'old') return undefined;
        if (look === 'seen') {
            const outcome = this.ready.has(`${op.priority}:${seq}`)
                ? OUTCOME.OUTCOME_READY
                : OUTCOME.OUTCOME_PENDING;
            return say({
                outcome,
                received: 0,
                trinary_state: outcome === OUTCOME.OUTCOME_READY ? 1 : 0,
            });
        }
        if (this.time.known && this.time.now() >= op.created_at + op.ttl_ms * 1000)
            return refuse(REASON.REASON_EXPIRED);
        if (op.requires_capabilities.some((name) => !this.offers.has(name)))
            return refuse(REASON.REASON_CAPABILITY);
        if (this.tasks.size >= TASKS_MAX) return refuse(REASON.REASON_OVERLOAD);
        if (seq !== 0) window.take(seq);
        const made = {
            id,
            op,
            base,
            seq,
            relayed,
            state: 'queued',
            sinceUs: localUs(),
            abort: new AbortController(),
            expires: op.created_at + op.ttl_ms * 1000,
            hold: op.timing === TIMING.TIMING_AT && op.target_arrival_time > 0,
        };
        this.tasks.set(id, made);
        made.pendingTimer = setTimeout(() => this.pending(made), PENDING_MS);
        if (made.hold && op.target_arrival_time - this.time.now() > PENDING_MS * 1000)
            this.pending(made);
        return this.start();
    }

    pending(task, answer) {
        clearTimeout(task.pendingTimer);
        this.tell(task.op, task.relayed, {
            ...task.base,
            outcome: OUTCOME.OUTCOME_PENDING,
            ...(answer ? { answer } : {}),
        });
    }

    // Highest priority first (2 s of waiting count as one more), then the earliest.
    first() {
        const rank = (t) =>
            Math.min(3, t.op.priority + Math.floor((localUs() - t.sinceUs) / AGEING_US));
        return [...this.tasks.values()]
            .filter((t) => t.state === 'queued')
            .sort((a, b) => rank(b) - rank(a) || a.sinceUs - b.sinceUs)[0];
    }

    // Without mesh time nobody knows what has expired: nothing starts.
    start() {
        const running = () => [...this.tasks.values()].filter((t) => t.state === 'running').length;
        for (
            let t;
            !this.frozen && this.time.known && running() < HANDLERS_MAX && (t = this.first());
        ) {
            if (this.time.now() >= t.expires)
                this.finish(t, { outcome: OUTCOME.OUTCOME_REFUSED, reason: REASON.REASON_EXPIRED });
            else this.run(t);
        }
    }

    async run(task) {
        task.state = 'running';
        const begun = localUs(),
            handler = this.handlers[task.op.action];
        let saidMs = 0;
        const word = (text) => {
            // where the work stands
            if (task.state === 'running' && Date.now() - saidMs >= WORD_MS) {
                saidMs = Date.now();
                this.pending(task, Buffer.from(text).subarray(0, WORD_BYTES));
            }
        };
        const limit = setTimeout(
            () => task.abort.abort(new Error('timeout')),
            Math.min(TIMER_MS_MAX, Math.max(0, (task.expires - this.time.now()) / 1000)),
        );
        const ended = new Promise((_, reject) =>
            task.abort.signal.addEventListener('abort', () => reject(task.abort.signal.reason)),
        );
        const result = {};
        try {
            if (!handler) {
                Object.assign(result, {
                    outcome: OUTCOME.OUTCOME_FAILED,
                    reason: REASON.REASON_UNKNOWN_ACTION,
                });
            } else {
                const run = handler.run(Buffer.from(task.op.payload), {
                    signal: task.abort.signal,
                    word,
                    conflict: (expected, received) => {
                        throw new Conflict(expected, received);
                    },
                    operation: task.op,
                });
                const answer = await Promise.race([run, ended]);
                Object.assign(result, {
                    outcome: OUTCOME.OUTCOME_READY,
                    answer: Buffer.from(answer ?? ''),
                });
            }
        } catch (error) {
            if (error instanceof Conflict)
                Object.assign(result, {
                    outcome: OUTCOME.OUTCOME_CONFLICT,
                    conflict_detail: error.detail,
                });
            else if (error === task.abort.signal.reason)
                Object.assign(result, {
                    outcome: OUTCOME.OUTCOME_TIMEOUT_EXECUTION,
                    reason: REASON.REASON_HANDLER,
                });
            else
                Object.assign(result, {
                    outcome: OUTCOME.OUTCOME_FAILED,
                    reason: REASON.REASON_HANDLER,
                    answer: Buffer.from(String(error?.message ?? error)),
                });
        }
        clearTimeout(limit);
        if (task.state !== 'running') return; // cancelled meanwhile
        const took = (localUs() - begun) / 1000;
        this.processingMs =
            this.processingMs === 0 ? took : this.processingMs + (took - this.processingMs) / 8;
        this.count(result.outcome);
        task.result = { ...result, actual_arrival_time: this.time.now(), processing_time_ms: took };
        if (result.outcome === OUTCOME.OUTCOME_READY && task.hold) {
            task.state = 'held';
            this.release(task);
        } else {
            this.finish(task, task.result);
        }
        this.start();
    }

    // Runs of this hour, for the beats.
    count(outcome) {
        const hour = Math.floor(Date.now() / 3600000);
        if (hour !== this.hour) {
            this.hour = hour;
            this.done = 0;
            this.failed = 0;
        }
        if (outcome === OUTCOME.OUTCOME_READY || outcome === OUTCOME.OUTCOME_CONFLICT) this.done++;
        else this.failed++;
    }

    // The effect at T, by our own timer; a frozen agent releases nothing. setTimeout may fire early, and mesh time may
    // be corrected meanwhile: so it looks again.
    release(task) {
        clearTimeout(task.timer);
        if (task.state !== 'held' || this.frozen) return;
        const waitUs = this.time.toLocal(task.op.target_arrival_time) - localUs();
        if (waitUs > 0) {
            task.timer = setTimeout(
                () => this.release(task),
                Math.min(TIMER_MS_MAX, Math.floor(waitUs / 1000)),
            );
            return;
        }
        const now = this.time.now();
        if (now >= task.expires) {
            this.finish(task, {
                ...task.result,
                answer: undefined,
                outcome: OUTCOME.OUTCOME_REFUSED,
                reason: REASON.REASON_EXPIRED,
            });
            return;
        }
        this.handlers[task.op.action].release?.(Buffer.from(task.op.payload), {
            operation: task.op,
        });
        this.finish(task, { ...task.result, release: now });
    }

    finish(task, result) {
        const { outcome } = result;
        const fields = {
            ...task.base,
            actual_arrival_time: this.time.now(),
            ...result,
            trinary_state:
                outcome === OUTCOME.OUTCOME_READY
                    ? 1
                    : outcome === OUTCOME.OUTCOME_CONFLICT
                      ? -1
                      : 0,
        };
        if (task.op.require_answer && fields.answer?.length)
            fields.answer = fields.answer.subarray(0, ANSWER_BYTES);
        else delete fields.answer;
        this.forget(task, fields);
        if (outcome === OUTCOME.OUTCOME_READY && task.seq !== 0) {
            this.ready.set(`${task.op.priority}:${task.seq}`, true);
            if (this.ready.size > 4096) this.ready.delete(this.ready.keys().next().value);
        }
        this.tell(task.op, task.relayed, fields);
    }

    forget(task, fields) {
        task.state = 'done';
        clearTimeout(task.timer);
        clearTimeout(task.pendingTimer);
        this.tasks.delete(task.id);
        this.kept.set(task.id, fields);
        if (this.kept.size > KEPT_MAX) this.kept.delete(this.kept.keys().next().value);
    }

    // Out of the queue, or its handler is ended; nobody answers. Its id is remembered, without an outcome.
    cancel(id) {
        const task = this.tasks.get(Buffer.from(id).toString('hex'));
        if (!task) return;
        this.forget(task, {});
        task.abort.abort(new Error('cancelled'));
        this.start();
    }

    freeze(on) {
        this.frozen = on;
        if (on) return;
        for (const task of this.tasks.values()) this.release(task);
        this.start();
    }
}
