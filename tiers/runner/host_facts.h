/* What a process finds out about its machine, once, when it starts: the facts of all its agents. */
#ifndef TIERS_RUNNER_HOST_FACTS_H
#define TIERS_RUNNER_HOST_FACTS_H

#include "core/facts.h"

/* Adds arch, cpus, kernel, memory_mib, node and os to what the operator has set (`facts`), in that
 * order and without replacing it. What cannot be found out, or finds no room, is left out. */
void host_facts(char facts[FACTS_BYTES_MAX]);

/* os from the text of /etc/os-release: ID and VERSION_ID, as debian12; false: not there. */
bool host_facts_os(const char *text, char *ret, size_t size);

#endif
