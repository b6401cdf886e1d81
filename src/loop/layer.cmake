# glibc's fortified longjmp aborts on a jump to another stack, and that is what switching fibers is.
set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/loop/switch.c PROPERTIES COMPILE_OPTIONS "-U_FORTIFY_SOURCE")
