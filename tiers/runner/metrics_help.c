/* Every metric there is, with the HELP text of its page. A name that is missing here has no HELP,
 * which tests/monitoring and promtool refuse. */
#include "tiers/runner/metrics.h"

#include <assert.h>
#include <string.h>

static const struct metric_info METRICS[] = {
    {"info", "Always 1: which process this is."},
    {"lease", "Always 1: the state of the lease on its name."},
    {"epoch", "The epoch of its ownership."},
    {"takeovers_total", "How often it took over the units of another process."},
    {"rss_bytes", "Resident memory."},
    {"alarm_rows_dropped_total", "Security events that did not get into the audit log."},
    {"log_lines_total", "Lines of log written."},
    {"log_suppressed_total", "Lines of log held back by the limit of lines a second."},
    {"bus_up", "1: connected to NATS and subscribed."},
    {"bus_connects_total", "Connections made to NATS."},
    {"bus_lost_total", "Connections to NATS that were lost."},
    {"bus_attempts_failed_total", "Attempts to connect to NATS that failed."},
    {"bus_rotations_total", "Connections replaced for a new certificate."},
    {"bus_rotations_failed_total", "Connections that were to be replaced and stayed."},
    {"bus_received_total", "Frames read from NATS."},
    {"bus_received_bytes_total", "Bytes of frames read from NATS."},
    {"bus_published_total", "Frames handed to NATS."},
    {"bus_published_bytes_total", "Bytes of frames handed to NATS."},
    {"bus_probe_seconds", "The last round trip to the NATS server and back."},
    {"bus_dropped_total", "Frames that were not sent or not used, by reason."},
    {"bus_service_answers_total", "Answers to those who look for NATS services."},
    {"bus_service_refused_total", "Who looked for services too often, or without an inbox."},
    {"bus_errors_total", "Errors that the NATS library reported."},
    {"trust_version", "The version of the trust bundle in force."},
    {"excluded", "Processes that the orchestrator has shut out."},
    {"trust_bundles_total", "Trust bundles seen, by verdict."},
    {"store_up", "1: connected to this bank of Redis."},
    {"store_login_refused", "1: Redis does not let this process in: user or password are wrong."},
    {"store_denied_total", "Requests to Redis that this process's login has not the right to."},
    {"store_in_flight", "Requests to Redis without an answer yet."},
    {"store_submitted_total", "Requests to Redis."},
    {"store_losses_total", "Connections to Redis that were lost."},
    {"store_replies_total", "Answers of Redis, by verdict."},
    {"log_up", "1: connected to the SQL log."},
    {"log_waiting", "Rows of the SQL log that wait to be written."},
    {"log_rows_total", "Rows written to the SQL log."},
    {"log_commits_total", "Transactions of the SQL log."},
    {"log_refused_total", "Rows that the SQL log did not take."},
    {"frames_sent_total", "Frames signed and sent."},
    {"signatures_made_total", "Signatures made for frames; those that leave together share one."},
    {"records_sent_total", "Records in the frames that were sent."},
    {"acks_grouped_sent_total", "Acknowledgements that joined the record of another agent's."},
    {"frame_bytes_sent_total", "Bytes of the frames that were sent."},
    {"operations_sent_total", "Sealed operations put into frames."},
    {"send_dropped_total", "What was to be sent and was not, by reason."},
    {"frames_accepted_total", "Frames that were believed."},
    {"records_received_total", "Records in the frames that were believed."},
    {"acks_grouped_received_total", "Acknowledgements that came in a record of several agents."},
    {"messages_received_total", "Messages in the frames that were believed."},
    {"signatures_verified_total", "Signatures verified."},
    {"peers", "Endpoints whose session is known."},
    {"frames_refused_total", "Frames refused, by reason."},
    {"chains_refused_total", "Certificates refused, by reason."},
    {"records_refused_total", "Records refused, by reason."},
    {"codec_refused_total", "Bodies that are not of the schema, by reason."},
    {"operations_cached", "Sealed operations in memory."},
    {"operations_cached_bytes", "Memory of the sealed operations."},
    {"operations_sealed_total", "Operations signed here."},
    {"operations_held_total", "Messages of agents that were held for their operation."},
    {"operations_received_total", "Sealed operations received, by verdict."},
    {"sealer_depth_max", "Most jobs that waited for the signing threads at once."},
    {"sealer_refused_total", "Jobs that the signing threads had no room for."},
    {"directory_entries", "Units whose process is known."},
    {"directory_stale_total", "Announcements under a lower epoch than is known."},
    {"directory_full_total", "Announcements that there was no room for."},
    {"chat_said_total", "Messages between agents that were sent by a chat."},
    {"chat_heard_total", "Messages between agents that a chat received."},
    {"chat_way_total", "Messages of a chat by how long they were under way (not cumulative)."},
    {"effects_total", "Effects of operations at a moment, by when they came."},
    {"effect_error_total", "Effects by their distance from the moment (not cumulative)."},
    {"nodes", "Nodes that run here."},
    {"agents", "Agents that run here."},
    {"steps_total", "Steps of nodes."},
    {"wakes_total", "Steps of nodes that a timer caused."},
    {"loop_lag_seconds", "How late the latest timer of the last second ran."},
    {"clock_ahead_seconds", "This machine's clock ahead of most others', by their frames."},
    {"clock_behind_seconds", "This machine's clock behind most others', by their frames."},
    {"host_clock_synchronised", "1: the kernel says that this host's clock is disciplined."},
    {"host_clock_error_seconds", "The kernel's bound on the error of this host's clock."},
    {"sent_local_total", "Messages to units of this process."},
    {"sent_remote_total", "Messages to units of other processes."},
    {"works_total", "Work that nodes asked for."},
    {"store_ops_total", "Store requests of nodes."},
    {"undelivered_total", "Messages that found nobody, by reason."},
    {"refused_total", "What a limit of the process refused, by kind."},
    {"spans_unknown_total", "Spans of operations that were forgotten before them."},
    {"stale_accepted_total", "Messages of a replaced parent that were acted upon: must stay 0."},
    {"notes_total", "Facts that nodes told, by note."},
    {"otlp_waiting", "Spans that wait for the collector."},
    {"otlp_requests_total", "Requests to the collector, by attempt."},
    {"otlp_spans_total", "Spans that left the queue, by their end."},
    {"handlers_running", "Programs, requests and reviews that run."},
    {"handlers_waiting", "Programs and requests that wait for their turn."},
    {"reviews_open", "What waits for people."},
    {"handler_runs_total", "Ended runs of handlers, by outcome."},
    {"handler_retries_total", "Requests of handlers that were sent again."},
    {"handler_strays_killed_total", "Processes that programs left behind, and that were killed."},
    {"llm_tokens_total", "Tokens by direction, as the models' servers count them."},
};

const struct metric_info *metric_at(size_t i)
{
    return i < sizeof(METRICS) / sizeof(METRICS[0]) ? &METRICS[i] : NULL;
}

const char *metric_help(const char *name)
{
    assert(name != NULL);
    for (size_t i = 0; i < sizeof(METRICS) / sizeof(METRICS[0]); i++) {
        if (strcmp(METRICS[i].name, name) == 0) {
            return METRICS[i].help;
        }
    }
    return NULL;
}
