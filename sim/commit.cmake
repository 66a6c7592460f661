# Writes the commit (and "+" when the tree differs from it) to HEADER when that has changed.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty=+ --abbrev=10
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(commit STREQUAL "")
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#define MESH_COMMIT \"${commit}\"\n")
