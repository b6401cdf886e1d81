# guard.sh becomes part of the library.
set(ssh_guard_c ${CMAKE_CURRENT_BINARY_DIR}/ssh_guard.c)
add_custom_command(OUTPUT ${ssh_guard_c}
    COMMAND ${CMAKE_COMMAND} -D FILE=${CMAKE_CURRENT_LIST_DIR}/guard.sh -D OUTPUT=${ssh_guard_c}
            -P ${CMAKE_CURRENT_LIST_DIR}/embed.cmake
    DEPENDS ${CMAKE_CURRENT_LIST_DIR}/guard.sh ${CMAKE_CURRENT_LIST_DIR}/embed.cmake VERBATIM)
target_sources(domicile_ssh PRIVATE ${ssh_guard_c})
