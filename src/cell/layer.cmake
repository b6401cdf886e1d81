# schema/NNN-name.sql become part of the library, with their checksums.
file(GLOB cell_schema CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/schema/[0-9]*.sql)
list(SORT cell_schema)
set(cell_schema_c ${CMAKE_CURRENT_BINARY_DIR}/cell_schema.c)
add_custom_command(OUTPUT ${cell_schema_c}
    COMMAND ${CMAKE_COMMAND} -D "FILES=${cell_schema}" -D OUTPUT=${cell_schema_c}
            -P ${CMAKE_CURRENT_LIST_DIR}/embed.cmake
    DEPENDS ${cell_schema} ${CMAKE_CURRENT_LIST_DIR}/embed.cmake VERBATIM)
if(TARGET domicile_cell)
    target_sources(domicile_cell PRIVATE ${cell_schema_c})
endif()
