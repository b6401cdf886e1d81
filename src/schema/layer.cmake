# NNN-name.sql become part of the library, with their checksums.
file(GLOB schema CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/[0-9]*.sql)
list(SORT schema)
set(schema_c ${CMAKE_CURRENT_BINARY_DIR}/schema.c)
add_custom_command(OUTPUT ${schema_c}
    COMMAND ${CMAKE_COMMAND} -D "FILES=${schema}" -D GUARD=${CMAKE_CURRENT_LIST_DIR}/guard.sql -D OUTPUT=${schema_c}
            -P ${CMAKE_CURRENT_LIST_DIR}/embed.cmake
    DEPENDS ${schema} ${CMAKE_CURRENT_LIST_DIR}/guard.sql ${CMAKE_CURRENT_LIST_DIR}/embed.cmake VERBATIM)
target_sources(domicile_schema PRIVATE ${schema_c})
