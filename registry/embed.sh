#!/bin/sh
# Makes registry/functions.c from registry/mesh.lua: one C string literal for each paragraph, because
# C promises no more than 4,095 bytes in one. tests/test_store_redis.c fails when the two differ.
set -eu
cd "$(dirname "$0")"
{
    echo '/* Made from registry/mesh.lua by registry/embed.sh; do not edit. The library in parts, to be'
    echo ' * joined in order; NULL ends them. */'
    echo '#include "registry/redis_private.h"'
    echo
    echo '/* clang-format off */'
    echo 'const char *const functions_parts[] = {'
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/    "&\\n"/' -e 's/^    "\\n"$/    "\\n",/' mesh.lua
    echo '    , NULL};'
    echo '/* clang-format on */'
} > functions.c
