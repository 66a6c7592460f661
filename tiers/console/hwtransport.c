#include "tiers/console/hwtransport.h"

#include <assert.h>
#include <stdio.h>

unsigned hwtransport_find(struct hwtransport ret[HWTRANSPORT_MAX])
{
    assert(ret);
    size_t found = 0;
    fido_dev_info_t *list = fido_dev_info_new(HWTRANSPORT_MAX);
    if (!list || fido_dev_info_manifest(list, HWTRANSPORT_MAX, &found) != FIDO_OK)
        found = 0;
    for (size_t i = 0; i < found; i++) {
        const fido_dev_info_t *one = fido_dev_info_ptr(list, i);
        const char *path = fido_dev_info_path(one);
        const char *maker = fido_dev_info_manufacturer_string(one);
        const char *product = fido_dev_info_product_string(one);
        (void)snprintf(ret[i].path, sizeof(ret[i].path), "%s", path ? path : "");
        (void)snprintf(ret[i].name, sizeof(ret[i].name), "%.30s %.30s", maker ? maker : "",
                       product ? product : "");
    }
    fido_dev_info_free(&list, HWTRANSPORT_MAX);
    return (unsigned)found;
}

int hwtransport_open(fido_dev_t *dev, const char *path)
{
    assert(dev && path);
    return fido_dev_open(dev, path);
}
