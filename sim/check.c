#include "sim/check.h"

const struct check *const checks[] = {
    &check_sums,     &check_once,   &check_ttl,      &check_order,  &check_epoch,
    &check_owner,    &check_rights, &check_work,     &check_bounds, &check_service,
    &check_deadline, &check_modes,  &check_breakers, &check_signed, &check_quarantine,
    &check_context,  &check_chain,  &check_log,      &check_jobs};
const uint32_t check_count = sizeof(checks) / sizeof(checks[0]);
