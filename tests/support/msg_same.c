/* Field by field, never memcmp over structs: padding is nobody's promise. */
#include "tests/support/msg_sample.h"

#include <string.h>

#define SAME(field)                                                                                \
    if (a->field != b->field) {                                                                    \
        return #field;                                                                             \
    }
#define SAME_UNIT(field)                                                                           \
    if (!unit_equal(a->field, b->field)) {                                                         \
        return #field;                                                                             \
    }
#define SAME_ARRAY(field)                                                                          \
    if (memcmp(a->field, b->field, sizeof(a->field)) != 0) {                                       \
        return #field;                                                                             \
    }
#define SAME_BYTES(field, bytes)                                                                   \
    if (a->bytes != b->bytes || (a->bytes && memcmp(a->field, b->field, a->bytes) != 0)) {         \
        return #field;                                                                             \
    }
#define SAME_TEXT(field)                                                                           \
    if (strcmp(a->field, b->field) != 0) {                                                         \
        return #field;                                                                             \
    }
#define SAME_PART(call)                                                                            \
    {                                                                                              \
        const char *part = call;                                                                   \
        if (part) {                                                                                \
            return part;                                                                           \
        }                                                                                          \
    }

static const char *same_impedance(const struct impedance *a, const struct impedance *b)
{
    SAME(latency_us)
    SAME(processing_us)
    SAME(queue_depth)
    SAME(clock_error_us)
    SAME(done)
    SAME(failed)
    SAME(state)
    SAME_ARRAY(context_hash.bytes)
    SAME(score)
    SAME(predicted_us)
    SAME(reliability_permille)
    SAME(drift_permille)
    SAME(confidence_permille)
    SAME(heartbeat_mesh_us)
    return NULL;
}

static const char *same_summary(const struct summary *a, const struct summary *b)
{
    SAME(agents)
    SAME(active)
    SAME(suspect)
    SAME(offline)
    SAME(quarantined)
    SAME(frozen)
    SAME(frozen_late)
    SAME(astray)
    SAME(newcomers)
    SAME(entering)
    SAME(newcomer_conflicts)
    SAME(leaving)
    SAME(synced)
    SAME_UNIT(synced_from)
    SAME(synced_far)
    SAME_UNIT(synced_far_from)
    SAME(degraded)
    SAME(unstable)
    SAME(clusters)
    SAME(clusters_up)
    SAME(sectors_healthy)
    SAME(sectors_degraded)
    SAME_ARRAY(class_active)
    SAME_ARRAY(capability_active)
    SAME(impedance_sum_us)
    SAME(score_sum)
    SAME_ARRAY(lead_counts)
    SAME_UNIT(slowest)
    SAME_UNIT(fastest)
    SAME(slowest_score)
    SAME(fastest_score)
    SAME_UNIT(healthiest)
    SAME_UNIT(sickest)
    SAME(healthiest_mean_us)
    SAME(sickest_mean_us)
    SAME(conflicts_hour)
    SAME(circuit)
    SAME(circuits_open)
    SAME(leads_lost)
    SAME(store_up)
    SAME(durable_away)
    SAME(operations)
    SAME(updated_mesh_us)
    return NULL;
}

static const char *same_selector(const struct selector *a, const struct selector *b)
{
    SAME(places.count)
    for (uint32_t i = 0; i < a->places.count; i++) {
        SAME(places.patterns[i].sector.first)
        SAME(places.patterns[i].sector.last)
        SAME(places.patterns[i].cluster.first)
        SAME(places.patterns[i].cluster.last)
        SAME(places.patterns[i].agent.first)
        SAME(places.patterns[i].agent.last)
    }
    SAME(class_mask)
    SAME(state_mask)
    SAME(capabilities)
    SAME(sample)
    SAME(score_min)
    SAME(part_seed)
    SAME(part_first)
    SAME(part_last)
    if (strcmp(a->where, b->where) != 0) {
        return "where";
    }
    SAME(score_max)
    SAME(capable_only)
    return NULL;
}

const char *sample_operation_difference(const struct operation *a, const struct operation *b)
{
    SAME_ARRAY(id.bytes)
    SAME_ARRAY(correlation_id.bytes)
    SAME_ARRAY(causation_id.bytes)
    SAME_ARRAY(trace.trace.bytes)
    SAME(trace.parent)
    SAME(trace.flags)
    SAME_UNIT(source)
    SAME(source_epoch)
    SAME(routing)
    SAME(strategy)
    SAME(timing)
    SAME(verb)
    SAME(priority)
    SAME(trinary_expectation)
    SAME(require_answer)
    SAME(require_ack)
    SAME(allow_partial)
    SAME(quorum)
    SAME(hedge)
    SAME(created_mesh_us)
    SAME(target_mesh_us)
    SAME(window_us)
    SAME(ttl_us)
    SAME(timeout_us)
    SAME(payload_weight)
    SAME(minimum_response_rate)
    SAME_TEXT(action)
    SAME(unknown_capability)
    SAME_ARRAY(payload_hash)
    SAME_BYTES(payload, payload_bytes)
    return same_selector(&a->selector, &b->selector);
}

static const char *same_conflict(const struct conflict_detail *a, const struct conflict_detail *b)
{
    if (!a || !b) {
        return a == b ? NULL : "conflict";
    }
    SAME(type)
    SAME_ARRAY(context_hash.bytes)
    SAME(divergence_depth)
    SAME(agents_affected)
    SAME_BYTES(expected, expected_bytes)
    SAME_BYTES(received, received_bytes)
    return NULL;
}

static const char *same_ack(const struct ack *a, const struct ack *b)
{
    SAME_ARRAY(operation_id.bytes)
    SAME(outcome)
    SAME(reason)
    SAME(late)
    SAME(seq)
    SAME(echo_sent_us)
    SAME(received_mesh_us)
    SAME(arrival_mesh_us)
    SAME(release_mesh_us)
    SAME(processing_us)
    SAME(queue_depth)
    SAME(clock_error_us)
    SAME_BYTES(answer, answer_bytes)
    return same_conflict(a->conflict, b->conflict);
}

static const char *same_operate(const struct operate *a, const struct operate *b)
{
    SAME_ARRAY(operation_id.bytes)
    SAME(deadline_mesh_us)
    SAME(attempt)
    SAME(target_count)
    for (uint32_t i = 0; i < a->target_count; i++) {
        SAME(targets[i].quota)
        SAME(targets[i].lead_us)
        SAME(targets[i].expected_processing_us)
        SAME(targets[i].confidence_permille)
        SAME(targets[i].seq)
    }
    return NULL;
}

static const char *same_group(const struct answer_group *a, const struct answer_group *b)
{
    SAME(outcome)
    SAME(reason)
    SAME(hash)
    SAME(count)
    SAME(run_count)
    for (uint32_t i = 0; i < a->run_count; i++) {
        SAME(runs[i].first)
        SAME(runs[i].last)
    }
    SAME_BYTES(answer, answer_bytes)
    return NULL;
}

static const char *same_aggregate(const struct aggregate_view *a, const struct aggregate_view *b)
{
    SAME(targets)
    SAME_ARRAY(outcomes)
    SAME_ARRAY(reasons)
    SAME(sent)
    SAME(late)
    SAME(resent)
    SAME(hedged)
    SAME(hedge_wins)
    SAME(unexpected)
    SAME(window_hits)
    SAME(window_eligible)
    SAME(predicted)
    SAME(predicted_50ms)
    SAME(sectors_reached)
    SAME(clusters_reached)
    SAME(agents_reached)
    SAME_ARRAY(arrival)
    SAME_ARRAY(release)
    SAME_ARRAY(lead_needed)
    SAME(other)
    SAME(group_count)
    for (uint32_t i = 0; i < a->group_count; i++) {
        SAME_PART(same_group(&a->groups[i], &b->groups[i]))
    }
    return NULL;
}

static const char *same_query(const struct query *a, const struct query *b)
{
    SAME(ref)
    SAME(kind)
    SAME_ARRAY(operation_id.bytes)
    SAME(after_key)
    SAME(from_start)
    SAME(limit)
    SAME(deadline_mesh_us)
    return same_selector(&a->selector, &b->selector);
}

static const char *same_row(enum row_kind kind, const struct page_row *a, const struct page_row *b)
{
    SAME(key)
    SAME_UNIT(unit)
    if (kind == ROW_AGENT) {
        SAME(u.agent.uid)
        SAME(u.agent.agent_class)
        SAME(u.agent.capabilities)
        SAME(u.agent.epoch)
        SAME(u.agent.routed_around)
        SAME(u.agent.unwritten)
        return same_impedance(&a->u.agent.impedance, &b->u.agent.impedance);
    }
    if (kind == ROW_SUMMARY) {
        return same_summary(a->u.summary, b->u.summary);
    }
    if (kind == ROW_ANSWER) {
        return same_group(&a->u.answer, &b->u.answer);
    }
    SAME_BYTES(u.record.text, u.record.bytes)
    return NULL;
}

static const char *same_rows(const struct rows *a, const struct rows *b)
{
    SAME(ref)
    SAME(kind)
    SAME(total)
    SAME(missing)
    SAME(more)
    SAME(row_count)
    for (uint32_t i = 0; i < a->row_count; i++) {
        SAME_PART(same_row(a->kind, &a->rows[i], &b->rows[i]))
    }
    return NULL;
}

static const char *same_report(const struct report *a, const struct report *b)
{
    SAME_ARRAY(operation_id.bytes)
    SAME(strategy)
    SAME_TEXT(status)
    SAME(response_rate)
    SAME(stragglers)
    SAME_TEXT(recommendation)
    SAME(decision)
    SAME_TEXT(decision_reason)
    SAME_TEXT(decision_recommendation)
    SAME(confidence)
    SAME(achieved)
    SAME(created_mesh_us)
    SAME(target_mesh_us)
    SAME(finished_mesh_us)
    SAME(window_us)
    SAME(phase_count)
    for (uint32_t i = 0; i < a->phase_count; i++) {
        SAME(phases[i].class_mask)
        SAME(phases[i].targets)
        SAME(phases[i].ready)
        SAME(phases[i].conflicts)
        SAME(phases[i].response_rate)
        SAME(phases[i].threshold)
        SAME(phases[i].success)
    }
    return same_aggregate(&a->aggregate, &b->aggregate);
}

static const char *same_status(const struct mesh_status *a, const struct mesh_status *b)
{
    SAME(mode)
    SAME(sectors)
    SAME(sectors_up)
    SAME(started_mesh_us)
    SAME(last_cascade_mesh_us)
    SAME(operations_in_flight)
    SAME(operations_max)
    SAME(operations_done)
    SAME(operations_refused)
    SAME(waiting)
    SAME(approvals)
    SAME(simulation)
    SAME(store_up)
    SAME(frozen)
    SAME_UNIT(self)
    return same_summary(&a->summary, &b->summary);
}

static const char *same_log_request(const struct log_request *a, const struct log_request *b)
{
    SAME(log)
    SAME(ask)
    SAME(cursor)
    SAME(limit)
    SAME(since_us)
    SAME(until_us)
    SAME(priority)
    SAME(open)
    SAME(newest)
    SAME_UNIT(agent)
    SAME_TEXT(event)
    SAME_TEXT(subject)
    SAME_TEXT(type)
    SAME_TEXT(actor)
    return NULL;
}

static const char *same_log_entry(const struct log_entry *a, const struct log_entry *b)
{
    SAME(seq)
    SAME(at_us)
    SAME(priority)
    SAME_TEXT(id)
    SAME_TEXT(event)
    SAME_TEXT(subject)
    SAME_TEXT(agent)
    SAME_TEXT(type)
    SAME_TEXT(actor)
    SAME_TEXT(body)
    SAME_TEXT(prev)
    SAME_TEXT(hash)
    return NULL;
}

static const char *same_log_page(const struct log_page *a, const struct log_page *b)
{
    SAME(log)
    SAME(ask)
    SAME(cursor)
    SAME(last)
    SAME(count)
    SAME_TEXT(head)
    SAME_TEXT(finding)
    for (uint32_t i = 0; i < a->count; i++) {
        const char *difference = same_log_entry(&a->entries[i], &b->entries[i]);
        if (difference) {
            return difference;
        }
    }
    return NULL;
}

static const char *same_conflict_report(const struct conflict_report *a,
                                        const struct conflict_report *b)
{
    SAME(incident)
    SAME(event)
    SAME(id)
    SAME_ARRAY(operation_id.bytes)
    SAME_UNIT(agent)
    SAME(uid)
    SAME(at_mesh_us)
    SAME(lamport)
    SAME(type)
    SAME_ARRAY(context_hash.bytes)
    SAME(divergence_depth)
    SAME(agents_affected)
    SAME(expected_bytes)
    SAME(received_bytes)
    SAME_ARRAY(expected)
    SAME_ARRAY(received)
    SAME_TEXT(action)
    return NULL;
}

static const char *same_command(const struct command *a, const struct command *b)
{
    SAME(ref)
    SAME(kind)
    SAME_ARRAY(operation_id.bytes)
    SAME_UNIT(scope)
    SAME_TEXT(name)
    SAME(on)
    SAME_TEXT(decision.conflict)
    SAME_TEXT(decision.note)
    SAME(decision.keep)
    if (a->kind == COMMAND_LOG) {
        return same_log_request(&a->log, &b->log);
    }
    SAME(scale.action)
    SAME(scale.count)
    SAME(scale.rate)
    SAME(scale.over_us)
    if (a->kind == COMMAND_QUERY || a->kind == COMMAND_ROUTE || a->kind == COMMAND_SCALE) {
        SAME(on)
        return same_query(&a->query, &b->query);
    }
    return sample_operation_difference(&a->operation, &b->operation);
}

static const char *same_reply(const struct reply *a, const struct reply *b)
{
    SAME(ref)
    SAME(kind)
    SAME(final)
    SAME(reason)
    SAME_TEXT(text)
    SAME_ARRAY(operation_id.bytes)
    if (a->kind == REPLY_OPERATION) {
        return same_report(a->report, b->report);
    }
    if (a->kind == REPLY_ROWS) {
        return same_rows(a->rows, b->rows);
    }
    if (a->kind == REPLY_LOG) {
        return same_log_page(a->log, b->log);
    }
    if (a->kind == REPLY_STATUS) {
        return same_status(a->status, b->status);
    }
    SAME(when.targets)
    SAME(when.lead_us_p50)
    SAME(when.lead_us_p95)
    SAME(when.lead_us_p99)
    SAME(when.wanted)
    SAME(when.lead_us_wanted)
    SAME(when.confidence)
    SAME(when.ready_expected)
    return same_aggregate(&a->progress, &b->progress);
}

static const char *same_prepare(const struct prepare *a, const struct prepare *b)
{
    SAME_ARRAY(correlation_id.bytes)
    SAME(level)
    SAME(deadline_mesh_us)
    SAME(payload_weight)
    return same_selector(&a->selector, &b->selector);
}

static const char *same_prepared(const struct prepared *a, const struct prepared *b)
{
    SAME_ARRAY(correlation_id.bytes)
    SAME(level)
    SAME(sectors_reached)
    SAME(clusters_reached)
    SAME(targets)
    SAME_ARRAY(lead_counts)
    return NULL;
}

static const char *same_relay_ack(const struct relay_ack *a, const struct relay_ack *b)
{
    SAME_ARRAY(message_id.bytes)
    SAME_UNIT(target)
    SAME(reached)
    SAME(failed)
    SAME(outcome)
    SAME(reason)
    SAME_BYTES(answer, answer_bytes)
    return NULL;
}

static const char *same_beat_reply(const struct beat_reply *a, const struct beat_reply *b)
{
    SAME(time.t1_us)
    SAME(time.t2_us)
    SAME(time.mesh_offset_us)
    SAME(time.error_us)
    SAME(time.unix_ahead_us)
    SAME(time.unix_error_us)
    SAME(mode)
    SAME(circuit_open_mask)
    for (unsigned c = 0; c < CLASS_COUNT; c++) {
        SAME(excluded[c])
    }
    SAME(known)
    return NULL;
}

static const char *same_freeze(const struct freeze *a, const struct freeze *b)
{
    SAME_UNIT(scope)
    SAME(at_mesh_us)
    SAME_TEXT(preserve_state_to)
    return NULL;
}

static const char *same_state(const struct order_state *a, const struct order_state *b)
{
    SAME(prior_epoch)
    SAME(prior_seq)
    SAME(mode)
    SAME(mesh_open)
    SAME(complete)
    for (unsigned c = 0; c < CLASS_COUNT; c++) {
        SAME(excluded[c])
    }
    SAME(frozen_count)
    for (uint32_t i = 0; i < a->frozen_count; i++) {
        const char *what = same_freeze(&a->frozen[i], &b->frozen[i]);
        if (what != NULL) {
            return what;
        }
    }
    return NULL;
}

static const char *same_isolate(const struct isolate *a, const struct isolate *b)
{
    SAME_UNIT(agent)
    SAME(what)
    SAME(capabilities)
    SAME(agents)
    return NULL;
}

static const char *same_moves(const struct order_moves *a, const struct order_moves *b)
{
    SAME(count)
    for (uint32_t i = 0; i < a->count; i++) {
        SAME(list[i].id)
        SAME_UNIT(list[i].home)
        SAME_UNIT(list[i].place)
        SAME(list[i].agents)
        SAME(list[i].places)
        SAME(list[i].back)
    }
    return NULL;
}

static const char *same_grows(const struct order_grows *a, const struct order_grows *b)
{
    SAME(count)
    for (uint32_t i = 0; i < a->count; i++) {
        SAME(list[i].id)
        SAME_UNIT(list[i].cluster)
        SAME(list[i].places)
        SAME(list[i].fresh)
        SAME(list[i].over_us)
        SAME(list[i].drain_us)
    }
    return NULL;
}

static const char *same_order(const struct order *a, const struct order *b)
{
    SAME(seq)
    SAME(kept_from)
    SAME_ARRAY(prev)
    SAME(what)
    if (a->what == ORDER_STATE) {
        return same_state(a->u.state, b->u.state);
    }
    if (a->what == ORDER_FREEZE || a->what == ORDER_THAW) {
        return same_freeze(&a->u.freeze, &b->u.freeze);
    }
    if (a->what == ORDER_CIRCUIT) {
        SAME(u.circuit.action)
        SAME_UNIT(u.circuit.target)
        SAME(u.circuit.reason)
    } else if (a->what == ORDER_HEAL) {
        SAME_UNIT(u.heal.target)
    } else if (a->what == ORDER_CANCEL) {
        SAME_ARRAY(u.cancel.operation_id.bytes)
    } else if (a->what == ORDER_MOVES) {
        return same_moves(a->u.moves, b->u.moves);
    } else if (a->what == ORDER_GROWS) {
        return same_grows(a->u.grows, b->u.grows);
    } else {
        return same_isolate(&a->u.isolate, &b->u.isolate);
    }
    return NULL;
}

static const char *same_small(const struct msg *a, const struct msg *b)
{
    if (a->type == MSG_HELLO) {
        SAME(u.hello.uid)
        SAME(u.hello.incarnation)
        SAME(u.hello.agent_class)
        SAME(u.hello.capabilities)
        SAME_ARRAY(u.hello.context_hash.bytes)
        return strcmp(a->u.hello.facts != NULL ? a->u.hello.facts : "",
                      b->u.hello.facts != NULL ? b->u.hello.facts : "") == 0
                   ? NULL
                   : "u.hello.facts";
    } else if (a->type == MSG_WELCOME) {
        SAME(u.welcome.accepted)
        SAME(u.welcome.reason)
        SAME(u.welcome.incarnation)
        SAME(u.welcome.beat_us)
        SAME(u.welcome.has_content)
        SAME_ARRAY(u.welcome.content)
    } else if (a->type == MSG_HEARTBEAT) {
        SAME(u.heartbeat.uid)
        SAME(u.heartbeat.incarnation)
        return same_impedance(&a->u.heartbeat.impedance, &b->u.heartbeat.impedance);
    } else if (a->type == MSG_CANCEL || a->type == MSG_RESUME) {
        SAME_ARRAY(u.cancel.operation_id.bytes)
    } else if (a->type == MSG_CIRCUIT) {
        SAME(u.circuit.action)
        SAME_UNIT(u.circuit.target)
        SAME(u.circuit.reason)
    } else if (a->type == MSG_FREEZE || a->type == MSG_THAW) {
        return same_freeze(&a->u.freeze, &b->u.freeze);
    } else if (a->type == MSG_HEAL) {
        SAME_UNIT(u.heal.target)
    } else if (a->type == MSG_CONFLICT_ACK) {
        SAME(u.conflict_ack.id)
        SAME_UNIT(u.conflict_ack.agent)
        SAME(u.conflict_ack.lamport)
    } else if (a->type == MSG_ISOLATE) {
        return same_isolate(&a->u.isolate, &b->u.isolate);
    } else if (a->type == MSG_MOVE) {
        SAME(u.move.id)
        SAME_UNIT(u.move.home)
        SAME_UNIT(u.move.place)
        SAME(u.move.agents)
        SAME(u.move.places)
        SAME(u.move.back)
    } else if (a->type == MSG_GROW) {
        SAME(u.grow.id)
        SAME_UNIT(u.grow.cluster)
        SAME(u.grow.places)
        SAME(u.grow.fresh)
        SAME(u.grow.over_us)
        SAME(u.grow.drain_us)
    } else if (a->type == MSG_CONTENT) {
        SAME_ARRAY(u.content.hash)
        SAME(u.content.ask)
        SAME_UNIT(u.content.holder)
        SAME(u.content.bytes)
        return a->u.content.bytes > 0 &&
                       memcmp(a->u.content.body, b->u.content.body, a->u.content.bytes) != 0
                   ? "content.body"
                   : NULL;
    } else if (a->type == MSG_HOST_REPORT) {
        SAME(u.host_report.process_start_us)
        SAME(u.host_report.agents_hosted)
        SAME(u.host_report.agents_running)
        SAME(u.host_report.restarts)
        SAME(u.host_report.loop_lag_us)
    } else if (a->type == MSG_RELAY) {
        SAME(u.relay.hops)
        return sample_operation_difference(a->u.relay.operation, b->u.relay.operation);
    } else if (a->type != MSG_GOODBYE) {
        return "type without a comparison";
    }
    return NULL;
}

const char *sample_difference(const struct msg *a, const struct msg *b)
{
    SAME(type)
    if (a->type == MSG_BEAT) {
        SAME(u.beat->has_summary)
        SAME(u.beat->orders.epoch)
        SAME(u.beat->orders.seq)
        SAME_ARRAY(u.beat->orders.hash)
        SAME(u.beat->orders_missed)
        return same_summary(&a->u.beat->summary, &b->u.beat->summary);
    }
    if (a->type == MSG_ORDER) {
        return same_order(a->u.order, b->u.order);
    }
    if (a->type == MSG_RESULT) {
        SAME_ARRAY(u.result->operation_id.bytes)
        SAME(u.result->final)
        SAME(u.result->unknown)
        return same_aggregate(&a->u.result->aggregate, &b->u.result->aggregate);
    }
    if (a->type == MSG_BEAT_REPLY) {
        return same_beat_reply(&a->u.beat_reply, &b->u.beat_reply);
    }
    if (a->type == MSG_OPERATE) {
        return same_operate(&a->u.operate, &b->u.operate);
    }
    if (a->type == MSG_ACK) {
        return same_ack(&a->u.ack, &b->u.ack);
    }
    if (a->type == MSG_PREPARE) {
        return same_prepare(a->u.prepare, b->u.prepare);
    }
    if (a->type == MSG_PREPARED) {
        return same_prepared(a->u.prepared, b->u.prepared);
    }
    if (a->type == MSG_QUERY) {
        return same_query(a->u.query, b->u.query);
    }
    if (a->type == MSG_ROWS) {
        return same_rows(&a->u.rows, &b->u.rows);
    }
    if (a->type == MSG_RELAY_ACK) {
        return same_relay_ack(&a->u.relay_ack, &b->u.relay_ack);
    }
    if (a->type == MSG_CONFLICT) {
        return same_conflict_report(a->u.conflict, b->u.conflict);
    }
    if (a->type == MSG_COMMAND) {
        return same_command(a->u.command, b->u.command);
    }
    return a->type == MSG_REPLY ? same_reply(a->u.reply, b->u.reply) : same_small(a, b);
}
