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

# watch/*.sql, the watch's questions, and watch/shipped.json become strings.
file(GLOB watch_texts CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/watch/*.sql)
list(APPEND watch_texts ${CMAKE_CURRENT_LIST_DIR}/watch/shipped.json)
set(watch_texts_c ${CMAKE_CURRENT_BINARY_DIR}/watch_texts.c)
add_custom_command(OUTPUT ${watch_texts_c}
    COMMAND ${CMAKE_COMMAND} -D "FILES=${watch_texts}" -D OUTPUT=${watch_texts_c}
            -P ${CMAKE_CURRENT_LIST_DIR}/embed_text.cmake
    DEPENDS ${watch_texts} ${CMAKE_CURRENT_LIST_DIR}/embed_text.cmake VERBATIM)
if(TARGET domicile_cell)
    target_sources(domicile_cell PRIVATE ${watch_texts_c})
endif()
