#include "sim/facts.h"

#include "core/num.h"
#include <assert.h>
#include <stddef.h>

static const char *const FACTS[CLASS_COUNT][SIM_FACTS_KINDS] = {
    [CLASS_NONE] = {"", "", "", ""},
    [CLASS_A_EDGE] = {"arch=aarch64 cpus=4 memory_mib=2048 os=alpine3.19",
                      "arch=aarch64 cpus=4 memory_mib=4096 os=debian12",
                      "arch=armv7l cpus=2 memory_mib=512 os=alpine3.19",
                      "arch=x86_64 cpus=2 memory_mib=2048 os=debian12"},
    [CLASS_B_SERVERLESS] = {"arch=x86_64 cpus=1 memory_mib=512 os=amzn2023",
                            "arch=x86_64 cpus=2 memory_mib=1024 os=amzn2023",
                            "arch=aarch64 cpus=1 memory_mib=512 os=amzn2023",
                            "arch=x86_64 cpus=1 memory_mib=2048 os=debian12"},
    [CLASS_C_PERSISTENT] = {"arch=x86_64 cpus=8 memory_mib=16384 os=debian12",
                            "arch=x86_64 cpus=16 memory_mib=32768 os=debian12",
                            "arch=x86_64 cpus=8 memory_mib=16384 os=ubuntu24.04",
                            "arch=aarch64 cpus=16 memory_mib=65536 os=debian11"},
    [CLASS_D_GPU] = {"arch=x86_64 cpus=32 gpu=a100 gpus=4 memory_mib=262144 os=debian12",
                     "arch=x86_64 cpus=64 gpu=h100 gpus=8 memory_mib=524288 os=ubuntu24.04",
                     "arch=x86_64 cpus=16 gpu=l4 gpus=1 memory_mib=65536 os=debian12",
                     "arch=aarch64 cpus=72 gpu=gh200 gpus=1 memory_mib=491520 os=ubuntu24.04"},
    [CLASS_E_LOCAL] = {"arch=aarch64 cpus=8 memory_mib=16384 os=macos14",
                       "arch=x86_64 cpus=8 memory_mib=16384 os=debian12",
                       "arch=x86_64 cpus=12 gpu=rtx4070 gpus=1 memory_mib=32768 os=ubuntu24.04",
                       "arch=aarch64 cpus=4 memory_mib=8192 os=debian12"},
    [CLASS_F_HUMAN] = {"desk=berlin language=de", "desk=boston language=en",
                       "desk=lyon language=fr", "desk=osaka language=ja"}};

uint32_t sim_facts_which(uint32_t index)
{
    return (uint32_t)(num_hash64(&index, sizeof index, 0x66616374) % SIM_FACTS_KINDS);
}

const char *sim_facts_kind(enum impedance_class c, uint32_t kind)
{
    assert((unsigned)c < CLASS_COUNT && kind < SIM_FACTS_KINDS);
    return FACTS[c][kind];
}

const char *sim_facts(enum impedance_class c, uint32_t index)
{
    return sim_facts_kind(c, sim_facts_which(index));
}
