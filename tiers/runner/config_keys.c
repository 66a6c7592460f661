/* The table of settings. Ranges are wide enough for tests with short times and for slow links, and
 * narrow enough that a slip of a digit is found. Times that only make sense in order (beat <
 * suspect < failed) are checked once all sources are read. */
#include "tiers/runner/config_keys.h"

#include "core/facts.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MESH(field)    offsetof(struct config_draft, config.field)
#define TUNING(field)  offsetof(struct config_draft, config.tuning.field)
#define DRAFT(field)   offsetof(struct config_draft, field)
#define PROCESS(field) offsetof(struct process_conf, field)
#define TEXT_MOST      (CONFIG_TEXT_MAX - 1)

static const struct config_key keys[] = {
    {"name", KEY_TEXT, false, 1, 32, MESH(name), NULL, "mesh", "the mesh's name, for people"},
    {"agents", KEY_NUMBER, false, 1, 4194304, DRAFT(agents), NULL, "30000", "agents in all"},
    {"sectors", KEY_NUMBER, false, 1, SECTORS_MAX, DRAFT(sectors), NULL, "by agents", "sectors"},
    {"clusters_per_sector", KEY_NUMBER, false, 1, CLUSTERS_PER_SECTOR_MAX,
     DRAFT(clusters_per_sector), NULL, "by agents", "clusters in a sector"},
    {"agents_per_cluster", KEY_NUMBER, false, 1, AGENTS_PER_CLUSTER_MAX, DRAFT(agents_per_cluster),
     NULL, "by agents", "agents in a cluster"},
    {"spare", KEY_NUMBER, false, 0, AGENTS_PER_CLUSTER_MAX - 1, DRAFT(spare), NULL, "0",
     "free places beside them in each cluster, for agents that move"},
    {"capabilities", KEY_TEXT, false, 0, TEXT_MOST, DRAFT(capabilities), NULL, "",
     "capability names beside the default ones, joined by commas; name:DE gives it to classes D, "
     "E"},
    {"nats_url", KEY_TEXT, false, 1, TEXT_MOST, MESH(nats_url), NULL, "tls://127.0.0.1:4222",
     "the bus"},
    {"registry_url", KEY_TEXT, false, 1, TEXT_MOST, MESH(registry_url), NULL,
     "unix:///run/mesh/redis.sock", "the rebuildable registry"},
    {"durable_url", KEY_TEXT, false, 0, TEXT_MOST, MESH(durable_url), NULL, "registry_url",
     "leases and queues"},
    {"blob_url", KEY_TEXT, false, 0, TEXT_MOST, MESH(blob_url), NULL, "registry_url",
     "content by hash"},
    {"log_url", KEY_TEXT, false, 0, TEXT_MOST, MESH(log_url), NULL, "",
     "the logs: sqlite:PATH or postgresql://.. (the orchestrator's processes)"},
    {"keys_dir", KEY_TEXT, false, 1, TEXT_MOST, MESH(keys_dir), NULL, "keys",
     "folder of issuer.pub, NAME.key and NAME.cert"},
    {"insecure", KEY_BOOL, false, 0, 1, MESH(insecure), NULL, "false",
     "allow links without TLS (nats://) and without login (redis://): tests on loopback only"},
    {"second_person", KEY_BOOL, false, 0, 1, TUNING(second_person), NULL, "false",
     "what stops or starts the whole mesh, and clears threats, waits for another operator"},
    {"hardware_tokens", KEY_CHOICE, false, 0, 2, MESH(hardware_tokens), "none|admin|operator",
     "none", "what takes a hardware token of whoever orders it: what admins do; also operations"},
    {"actions", KEY_TEXT, false, 0, TEXT_MOST, MESH(actions), NULL, "",
     "file of actions and the handlers that run them"},
    {"talk_url", KEY_TEXT, false, 0, TEXT_MOST, MESH(talk_url), NULL, "",
     "consoles: an OpenAI-compatible endpoint for words that the dialogue does not understand"},
    {"talk_model", KEY_TEXT, false, 1, TEXT_MOST, MESH(talk_model), NULL, "default",
     "consoles: the model's name there"},
    {"talk_timeout_ms", KEY_MS, false, 100, 60000, MESH(talk_timeout_us), NULL, "10000",
     "consoles: how long it may take"},
    {"otlp_url", KEY_TEXT, false, 0, TEXT_MOST, MESH(otlp_url), NULL, "",
     "a collector of traces (OTLP over HTTP); without a path /v1/traces is meant"},
    {"otlp_headers", KEY_TEXT, false, 0, TEXT_MOST, MESH(otlp_headers), NULL, "",
     "file of headers for it, one \"Name: value\" a line, that only its owner may read"},
    {"otlp_ca", KEY_TEXT, false, 0, TEXT_MOST, MESH(otlp_ca), NULL, "",
     "file of the authorities that its certificate has to come from; else the system's"},
    {"otlp_share", KEY_SHARE, false, 0, 1000, TUNING(span_share), NULL, "1",
     "share of the operations that are traced, where who started one has not decided it"},
    {"simulation", KEY_BOOL, false, 0, 1, TUNING(simulation), NULL, "false",
     "accept processes of the role sim"},
    {"agent_beat_ms", KEY_MS, false, 100, 600000, TUNING(agent_beat_us), NULL, "5000",
     "an agent's heartbeat"},
    {"agent_suspect_ms", KEY_MS, false, 200, 3600000, TUNING(agent_suspect_us), NULL, "15000",
     "a silent agent is suspect"},
    {"agent_failed_ms", KEY_MS, false, 300, 7200000, TUNING(agent_failed_us), NULL, "30000",
     "a silent agent is offline"},
    {"tier_beat_ms", KEY_MS, false, 50, 60000, TUNING(tier_beat_us), NULL, "1000",
     "a lead's or sector's beat"},
    {"tier_suspect_ms", KEY_MS, false, 100, 600000, TUNING(tier_suspect_us), NULL, "3000",
     "a silent lead or sector is suspect"},
    {"tier_failed_ms", KEY_MS, false, 200, 1200000, TUNING(tier_failed_us), NULL, "4000",
     "a silent lead or sector is down"},
    {"bucket_ms", KEY_MS, false, 1, 1000, TUNING(bucket_us), NULL, "10",
     "send times within one bucket go together"},
    {"resend_ms", KEY_MS, false, 10, 60000, TUNING(resend_us), NULL, "200",
     "first resend after the predicted answer"},
    {"resends_max", KEY_NUMBER, false, 0, 16, TUNING(resends_max), NULL, "3",
     "resends of one operation to one agent"},
    {"predictor", KEY_CHOICE, false, 0, 3, TUNING(predictor), "quantile|spec|spec-drift|jacobson",
     "quantile", "how lead times are predicted"},
    {"predictor_tau", KEY_SHARE, false, 500, 999, TUNING(predictor_tau), NULL, "0.95",
     "share that shall arrive by T"},
    {"log_level", KEY_CHOICE, false, 0, 3, MESH(log_level), "debug|info|warning|error", "info",
     "lines below it are not written"},

    {"role", KEY_CHOICE, true, 0, 5, PROCESS(role), "-|orchestrator|sector|cluster|agent|sim", "",
     "which tier it runs"},
    {"units", KEY_TEXT, true, 1, TEXT_MOST, PROCESS(units_text), NULL, "mesh",
     "mesh, or folded places: what it owns; none: it only stands by"},
    {"standby", KEY_TEXT, true, 1, TEXT_MOST, PROCESS(standby_text), NULL, "scope",
     "units of its tier to take over: scope (all that its certificate covers), none, or places"},
    {"rescue", KEY_TEXT, true, 0, TEXT_MOST, PROCESS(rescue), NULL, "",
     "agents: the lead process that is started here when none is heard any more"},
    {"facts", KEY_TEXT, true, 0, TEXT_MOST, PROCESS(facts), NULL, "",
     "agents: facts beside those of the machine, as gpu=a100,rack=r7: what --where asks of"},
    {"parent_pid", KEY_NUMBER, true, 0, INT32_MAX, PROCESS(parent_pid), NULL, "0",
     "ends with the process of this pid, which started it; 0: never"},
    {"metrics_port", KEY_NUMBER, true, 0, 65535, PROCESS(metrics_port), NULL, "0",
     "Prometheus on this loopback port; 0: none"},
    {"agents_per_host", KEY_NUMBER, true, 1, 1024, PROCESS(agents_per_host), NULL, "30",
     "sim: agents that share a frame signer"},
    {"delay", KEY_CHOICE, true, 0, 1, PROCESS(delay_profile), "none|profile", "none",
     "sim: delays, losses and clocks of the class profiles"},
    {"profile", KEY_TEXT, true, 0, TEXT_MOST, PROCESS(profile), NULL, "",
     "sim: a file with the figures of the class profiles (sim/classes.profile)"},
    {"journal", KEY_TEXT, true, 0, TEXT_MOST, PROCESS(journal), NULL, "",
     "sim: a file that lists each execution, for tests (sim/live.c)"},
    {"seed", KEY_NUMBER64, true, 0, INT64_MAX, PROCESS(seed), NULL, "1",
     "of everything random but keys"},
    {"crypto_threads", KEY_NUMBER, true, 0, 16, PROCESS(crypto_threads), NULL, "1",
     "threads that sign and verify; 0: the loop does it"},
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))
_Static_assert(KEYS <= CONFIG_KEYS_MAX, "the marks of keys that were set have room");

static const char *const role_names[PROCESS_ROLE_COUNT] = {"none",    "orchestrator", "sector",
                                                           "cluster", "agent",        "sim"};

const char *process_role_name(enum process_role role)
{
    assert(role < PROCESS_ROLE_COUNT);
    return role_names[role];
}

const struct config_key *config_keys(size_t *ret_count)
{
    assert(ret_count != NULL);
    *ret_count = KEYS;
    return keys;
}

const struct config_key *config_key_find(const char *name, bool *ret_of_process)
{
    assert(name != NULL && ret_of_process != NULL);
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(keys[i].name, name) == 0) {
            *ret_of_process = keys[i].of_process;
            return &keys[i];
        }
    }
    return NULL;
}

void config_fail(struct config_draft *draft, uint32_t line, const char *format, ...)
{
    char what[512];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(what, sizeof(what), format, list);
    va_end(list);
    if (line > 0) {
        (void)snprintf(draft->error->text, sizeof(draft->error->text), "%s:%" PRIu32 ": %s",
                       draft->config.file, line, what);
    } else {
        (void)snprintf(draft->error->text, sizeof(draft->error->text), "%s: %s", draft->config.file,
                       what);
    }
}

void config_fail_name(struct config_draft *draft, const char *name)
{
    const char *near = NULL;
    unsigned least = 4;
    for (uint32_t i = 0; i < draft->config.process_count; i++) {
        unsigned d = config_distance(name, draft->config.processes[i].name);
        if (d < least) {
            least = d;
            near = draft->config.processes[i].name;
        }
    }
    config_fail(draft, 0, "no [process %s]%s%s%s", name, near != NULL ? "; did you mean " : "",
                near != NULL ? near : "", near != NULL ? "?" : "");
}

/* A value's fault, with its source. */
static bool value_wrong(struct config_draft *draft, const struct config_from *from, const char *key,
                        const char *value, const char *right)
{
    char what[400];
    if (from->line > 0) {
        (void)snprintf(what, sizeof(what), "%s = %.100s", key, value);
        config_fail(draft, from->line, "%s: must be %s", what, right);
        return false;
    }
    if (from->environment) {
        (void)snprintf(what, sizeof(what), "environment MESH_");
        size_t used = strlen(what);
        for (const char *k = key; *k != '\0' && used + 1 < sizeof(what); k++) {
            what[used++] = *k >= 'a' && *k <= 'z' ? (char)(*k - 'a' + 'A') : *k;
        }
        what[used] = '\0';
    } else {
        (void)snprintf(what, sizeof(what), "flag --%s", key);
    }
    (void)snprintf(draft->error->text, sizeof(draft->error->text), "%s=%.100s: must be %s", what,
                   value, right);
    return false;
}

unsigned config_distance(const char *a, const char *b)
{
    assert(a != NULL && b != NULL);
    size_t as = strlen(a), bs = strlen(b);
    if (as > 40 || bs > 40) {
        return 9;
    }
    unsigned row[42];
    for (size_t j = 0; j <= bs; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= as; i++) {
        unsigned corner = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= bs; j++) {
            unsigned up = row[j];
            unsigned best = corner + (a[i - 1] == b[j - 1] ? 0u : 1u);
            best = up + 1 < best ? up + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
            corner = up;
        }
    }
    return row[bs] > 9 ? 9 : row[bs];
}

static bool key_unknown(struct config_draft *draft, bool of_process, const char *name,
                        uint32_t line)
{
    const char *near = NULL;
    unsigned least = 9;
    for (size_t i = 0; i < KEYS; i++) {
        unsigned d = config_distance(name, keys[i].name);
        if (keys[i].of_process == of_process && d < least) {
            least = d;
            near = keys[i].name;
        }
    }
    const char *section = of_process ? "process" : "mesh";
    bool elsewhere;
    if (config_key_find(name, &elsewhere) != NULL) {
        config_fail(draft, line, "key \"%s\" belongs into [%s], not into [%s]", name,
                    elsewhere ? "process NAME" : "mesh", section);
    } else {
        config_fail(draft, line, "unknown key \"%.64s\" in [%s]; the nearest is \"%s\"", name,
                    section, near != NULL ? near : "name");
    }
    return false;
}

static bool parse_number(const char *value, int64_t least, int64_t most, int64_t *ret)
{
    if (value[0] == '\0' || strspn(value, "0123456789") != strlen(value)) {
        return false;
    }
    errno = 0;
    long long v = strtoll(value, NULL, 10);
    if (errno != 0 || v < least || v > most) {
        return false;
    }
    *ret = v;
    return true;
}

static bool parse_share(const char *value, int64_t least, int64_t most, double *ret)
{
    char *end = NULL;
    double v = strtod(value, &end);
    if (end == value || *end != '\0' || !isfinite(v) || v * 1000.0 < (double)least - 1e-9 ||
        v * 1000.0 > (double)most + 1e-9) {
        return false;
    }
    *ret = v;
    return true;
}

static bool parse_bool(const char *value, bool *ret)
{
    static const char *const words[] = {"true", "yes", "on", "1", "false", "no", "off", "0"};
    for (unsigned i = 0; i < 8; i++) {
        if (strcasecmp(value, words[i]) == 0) {
            *ret = i < 4;
            return true;
        }
    }
    return false;
}

static int parse_choice(const char *value, const char *choices)
{
    size_t bytes = strlen(value);
    int i = 0;
    for (const char *c = choices;; i++) {
        size_t n = strcspn(c, "|");
        if (n == bytes && strncmp(c, value, n) == 0 && value[0] != '-') {
            return i;
        }
        if (c[n] == '\0') {
            return -1;
        }
        c += n + 1;
    }
}

static bool store_value(const struct config_key *k, const char *value, void *at)
{
    int64_t n = 0;
    double share = 0;
    bool yes = false;
    int choice;
    switch (k->kind) {
    case KEY_TEXT:
        if (strlen(value) < (size_t)k->least || strlen(value) > (size_t)k->most) {
            return false;
        }
        (void)snprintf(at, CONFIG_TEXT_MAX, "%s", value);
        return true;
    case KEY_NUMBER:
    case KEY_NUMBER64:
    case KEY_MS:
        if (!parse_number(value, k->least, k->most, &n)) {
            return false;
        }
        if (k->kind == KEY_NUMBER) {
            *(uint32_t *)at = (uint32_t)n;
        } else if (k->kind == KEY_NUMBER64) {
            *(uint64_t *)at = (uint64_t)n;
        } else {
            *(int64_t *)at = n * US_PER_MS;
        }
        return true;
    case KEY_SHARE:
        if (!parse_share(value, k->least, k->most, &share)) {
            return false;
        }
        *(double *)at = share;
        return true;
    case KEY_BOOL:
        if (!parse_bool(value, &yes)) {
            return false;
        }
        *(bool *)at = yes;
        return true;
    case KEY_CHOICE:
        choice = parse_choice(value, k->choices);
        if (choice < 0) {
            return false;
        }
        if (k->offset == PROCESS(delay_profile) && k->of_process) {
            *(bool *)at = choice == 1;
        } else {
            *(int *)at = choice;
        }
        return true;
    default:
        assert(false);
        return false;
    }
}

static void range_text(const struct config_key *k, char *ret, size_t size)
{
    switch (k->kind) {
    case KEY_TEXT:
        (void)snprintf(ret, size, "text of %" PRId64 " to %" PRId64 " bytes", k->least, k->most);
        break;
    case KEY_NUMBER:
    case KEY_NUMBER64:
        (void)snprintf(ret, size, "a whole number from %" PRId64 " to %" PRId64, k->least, k->most);
        break;
    case KEY_MS:
        (void)snprintf(ret, size, "%" PRId64 " to %" PRId64 " (milliseconds)", k->least, k->most);
        break;
    case KEY_SHARE:
        (void)snprintf(ret, size, "a share from %.3f to %.3f", (double)k->least / 1000.0,
                       (double)k->most / 1000.0);
        break;
    case KEY_BOOL:
        (void)snprintf(ret, size, "true or false");
        break;
    case KEY_CHOICE:
        (void)snprintf(ret, size, "one of %s", k->choices[0] == '-' ? k->choices + 2 : k->choices);
        break;
    default:
        assert(false);
    }
}

bool config_set(struct config_draft *draft, struct process_conf *process, const char *key,
                const char *value, const struct config_from *from, uint32_t *set)
{
    assert(draft != NULL && key != NULL && value != NULL);
    assert(from != NULL);
    bool of_process = false;
    const struct config_key *k = config_key_find(key, &of_process);
    if (k == NULL || of_process != (process != NULL)) {
        return key_unknown(draft, process != NULL, key, from->line);
    }
    uint32_t *mark = set != NULL ? &set[k - keys] : NULL;
    if (mark != NULL && *mark != 0) {
        config_fail(draft, from->line, "key \"%s\" was given already, in line %" PRIu32, key,
                    *mark);
        return false;
    }
    uint8_t *base = process != NULL ? (uint8_t *)process : (uint8_t *)draft;
    if (!store_value(k, value, base + k->offset)) {
        char range[200];
        range_text(k, range, sizeof(range));
        return value_wrong(draft, from, key, value, range);
    }
    if (mark != NULL) {
        *mark = from->line;
    }
    return true;
}

void config_process_defaults(struct process_conf *ret)
{
    assert(ret != NULL);
    *ret = (struct process_conf){.agents_per_host = AGENTS_PER_HOST,
                                 .seed = 1,
                                 .crypto_threads = 1,
                                 .units_text = "mesh",
                                 .standby_text = "scope"};
}

void config_draft_init(struct config_draft *draft, struct config_error *error)
{
    assert(draft != NULL && error != NULL);
    memset(draft, 0, sizeof(*draft));
    draft->error = error;
    struct config_from from = {.flag = true};
    static const char *const defaults[] = {
        "name",           "nats_url",         "registry_url",    "keys_dir",      "simulation",
        "agent_beat_ms",  "agent_suspect_ms", "agent_failed_ms", "tier_beat_ms",  "tier_suspect_ms",
        "tier_failed_ms", "bucket_ms",        "resend_ms",       "resends_max",   "predictor",
        "predictor_tau",  "log_level",        "insecure",        "second_person", "hardware_tokens",
        "otlp_share"};
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
        bool of_process;
        const struct config_key *k = config_key_find(defaults[i], &of_process);
        bool ok = config_set(draft, NULL, k->name, k->fallback, &from, NULL);
        assert(ok);
        (void)ok;
    }
}

/* The classes behind a name's colon: "DE". */
static bool take_classes(struct config_draft *draft, const char *name, size_t length, int bit,
                         const char *classes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum impedance_class c = class_parse(classes + i, 1);
        if (c == CLASS_NONE) {
            config_fail(draft, 0, "capabilities: \"%.*s:%.*s\": classes are letters from A to F",
                        (int)length, name, (int)count, classes);
            return false;
        }
        draft->config.topology.class_extra[c] |= UINT64_C(1) << bit;
    }
    return true;
}

/* One "name" or "name:CLASSES". */
static bool take_capability(struct config_draft *draft, const char *name, size_t bytes)
{
    struct topology *t = &draft->config.topology;
    const char *colon = memchr(name, ':', bytes);
    size_t length = colon != NULL ? (size_t)(colon - name) : bytes;
    if (length == 0 || length >= CAPABILITY_NAME_MAX ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-.") < length) {
        config_fail(draft, 0,
                    "capabilities: \"%.*s\": a name has 1 to %u of a-z, 0-9, '_', '-', '.'",
                    (int)length, name, CAPABILITY_NAME_MAX - 1);
        return false;
    }
    if (topology_capability(t, name, length) < 0) {
        if (t->capability_count == CAPABILITIES_MAX) {
            config_fail(draft, 0, "capabilities: more than %u in all", CAPABILITIES_MAX);
            return false;
        }
        memcpy(t->capabilities[t->capability_count], name, length);
        t->capabilities[t->capability_count++][length] = '\0';
    }
    int bit = topology_capability(t, name, length);
    return colon == NULL || take_classes(draft, name, length, bit, colon + 1, bytes - length - 1);
}

static bool finish_capabilities(struct config_draft *draft)
{
    for (const char *c = draft->capabilities; *c != '\0';) {
        size_t bytes = strcspn(c, ",");
        size_t skip = strspn(c, " ");
        const char *name = c + (skip < bytes ? skip : bytes);
        size_t length = bytes - (size_t)(name - c);
        while (length > 0 && name[length - 1] == ' ') {
            length--;
        }
        if (!take_capability(draft, name, length)) {
            return false;
        }
        c += bytes + (c[bytes] == ',' ? 1 : 0);
    }
    return true;
}

static bool finish_shape(struct config_draft *draft)
{
    struct topology *t = &draft->config.topology;
    uint32_t agents = draft->agents;
    if (agents == 0 && draft->sectors > 0 && draft->clusters_per_sector > 0 &&
        draft->agents_per_cluster > 0) {
        agents = draft->sectors * draft->clusters_per_sector * draft->agents_per_cluster;
    }
    topology_default(agents > 0 ? agents : 30000, t);
    if (draft->sectors > 0) {
        t->sectors = (uint16_t)draft->sectors;
    }
    if (draft->clusters_per_sector > 0) {
        t->clusters_per_sector = (uint16_t)draft->clusters_per_sector;
    }
    if (draft->agents_per_cluster > 0) {
        t->agents_per_cluster = (uint16_t)draft->agents_per_cluster;
    }
    t->spare = (uint16_t)draft->spare;
    uint64_t room = (uint64_t)t->sectors * t->clusters_per_sector * t->agents_per_cluster;
    if (t->agents > room) {
        config_fail(draft, 0,
                    "agents = %" PRIu32 ": %u sectors x %u clusters x %u agents hold %" PRIu64
                    " at most",
                    t->agents, t->sectors, t->clusters_per_sector, t->agents_per_cluster, room);
        return false;
    }
    if (!finish_capabilities(draft)) {
        return false;
    }
    const char *wrong = topology_check(t);
    if (wrong != NULL) {
        config_fail(draft, 0, "%s", wrong);
        return false;
    }
    return true;
}

static bool finish_times(struct config_draft *draft)
{
    const struct tuning *t = &draft->config.tuning;
    const struct {
        const char *low, *high;
        int64_t low_us, high_us;
    } orders[] = {
        {"agent_beat_ms", "agent_suspect_ms", t->agent_beat_us, t->agent_suspect_us},
        {"agent_suspect_ms", "agent_failed_ms", t->agent_suspect_us, t->agent_failed_us},
        {"tier_beat_ms", "tier_suspect_ms", t->tier_beat_us, t->tier_suspect_us},
        {"tier_suspect_ms", "tier_failed_ms", t->tier_suspect_us, t->tier_failed_us},
    };
    for (size_t i = 0; i < 4; i++) {
        if (orders[i].low_us >= orders[i].high_us) {
            config_fail(draft, 0, "%s = %" PRId64 " must be less than %s = %" PRId64, orders[i].low,
                        orders[i].low_us / US_PER_MS, orders[i].high,
                        orders[i].high_us / US_PER_MS);
            return false;
        }
    }
    return true;
}

/* Folded places; the whole mesh (`all`) leaves *ret without patterns. */
static bool finish_places(struct config_draft *draft, const struct process_conf *p, const char *key,
                          const char *text, const char *all, struct place_set *ret)
{
    size_t at = 0;
    const char *why = "";
    memset(ret, 0, sizeof(*ret));
    if (strcmp(text, all) == 0 || strcmp(text, "none") == 0 ||
        place_parse(text, strlen(text), &draft->config.topology, ret, &at, &why)) {
        return true;
    }
    config_fail(draft, p->line, "[process %s]: %s = %.100s: at \"%.20s\": %s", p->name, key, text,
                text + at, why);
    return false;
}

/* What it is to start when no lead process is left has to be one. */
static bool finish_rescue(struct config_draft *draft, const struct process_conf *p)
{
    if (p->rescue[0] == '\0') {
        return true;
    }
    const struct process_conf *lead = config_process(&draft->config, p->rescue);
    if (p->role != PROCESS_AGENT && p->role != PROCESS_SIM) {
        config_fail(draft, p->line, "[process %s]: rescue: of role agent and sim only", p->name);
    } else if (lead == NULL || lead->role != PROCESS_CLUSTER) {
        config_fail(draft, p->line, "[process %s]: rescue = %.100s: no process of role cluster",
                    p->name, p->rescue);
    } else {
        return true;
    }
    return false;
}

/* Facts in the form in which they travel. */
static bool finish_facts(struct config_draft *draft, struct process_conf *p)
{
    char facts[FACTS_BYTES_MAX] = "";
    size_t at = 0;
    const char *why = facts_read(p->facts, facts, &at);
    if (why != NULL) {
        config_fail(draft, p->line, "[process %s]: facts: at \"%.40s\": %s", p->name, p->facts + at,
                    why);
        return false;
    }
    if (facts[0] != '\0' && p->role != PROCESS_AGENT && p->role != PROCESS_SIM) {
        config_fail(draft, p->line, "[process %s]: facts: of role agent and sim only", p->name);
        return false;
    }
    memcpy(p->facts, facts, sizeof facts);
    return true;
}

static bool finish_process(struct config_draft *draft, struct process_conf *p)
{
    const struct topology *t = &draft->config.topology;
    if (p->role == PROCESS_NONE) {
        config_fail(draft, p->line,
                    "[process %s]: role is missing: one of orchestrator|sector|"
                    "cluster|agent|sim",
                    p->name);
        return false;
    }
    p->no_units = strcmp(p->units_text, "none") == 0;
    p->no_standby = strcmp(p->standby_text, "none") == 0;
    if (!finish_places(draft, p, "units", p->units_text, "mesh", &p->units) ||
        !finish_places(draft, p, "standby", p->standby_text, "scope", &p->standby) ||
        !finish_rescue(draft, p) || !finish_facts(draft, p)) {
        return false;
    }
    if (p->no_units && (p->role == PROCESS_AGENT || p->role == PROCESS_SIM)) {
        config_fail(draft, p->line, "[process %s]: units = none: agents do not stand by", p->name);
        return false;
    }
    for (uint32_t i = 0; i < p->units.count; i++) {
        const struct pattern *q = &p->units.patterns[i];
        bool deep_cluster = q->cluster.first > 1 || q->cluster.last < t->clusters_per_sector;
        bool deep_agent = q->agent.first > 1 || q->agent.last < t->agents_per_cluster;
        deep_cluster = deep_cluster && q->cluster.last != 0;
        deep_agent = deep_agent && q->agent.last != 0;
        if ((p->role == PROCESS_SECTOR && (deep_cluster || deep_agent)) ||
            (p->role == PROCESS_CLUSTER && deep_agent)) {
            config_fail(draft, p->line, "[process %s]: units = %.100s: a %s owns whole %s", p->name,
                        p->units_text, process_role_name(p->role),
                        p->role == PROCESS_SECTOR ? "sectors" : "sectors or clusters");
            return false;
        }
    }
    if (p->role == PROCESS_SIM && !draft->config.tuning.simulation) {
        config_fail(draft, p->line, "[process %s]: role = sim needs simulation = true in [mesh]",
                    p->name);
        return false;
    }
    return true;
}

uint32_t config_mesh_line(const struct config_draft *draft, const char *name)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(keys[i].name, name) == 0) {
            return draft->mesh_set[i];
        }
    }
    return 0;
}

bool config_has_tls(const struct config *config)
{
    assert(config != NULL);
    return strncmp(config->nats_url, "tls://", 6) == 0;
}

bool config_finish(struct config_draft *draft)
{
    assert(draft != NULL);
    assert(draft->error != NULL);
    if (!config_finish_links(draft) || !config_finish_otlp(draft) || !finish_shape(draft) ||
        !finish_times(draft)) {
        return false;
    }
    for (uint32_t i = 0; i < draft->config.process_count; i++) {
        if (!finish_process(draft, &draft->config.processes[i])) {
            return false;
        }
    }
    return true;
}

void config_usage_keys(void *out)
{
    assert(out != NULL);
    for (int part = 0; part < 2; part++) {
        (void)fprintf(out, part == 0 ? "[mesh]\n" : "[process NAME]\n");
        for (size_t i = 0; i < KEYS; i++) {
            if (keys[i].of_process != (part == 1)) {
                continue;
            }
            char range[200];
            range_text(&keys[i], range, sizeof(range));
            (void)fprintf(out, "  %-20s %s\n  %-20s %s; default: %s\n", keys[i].name, keys[i].help,
                          "", range, keys[i].fallback[0] != '\0' ? keys[i].fallback : "none");
        }
    }
}
