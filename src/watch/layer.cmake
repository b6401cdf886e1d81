# *.sql, the watch's questions, and shipped.json become strings.
file(GLOB watch_texts CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.sql)
list(APPEND watch_texts ${CMAKE_CURRENT_LIST_DIR}/shipped.json)
set(watch_texts_c ${CMAKE_CURRENT_BINARY_DIR}/watch_texts.c)
add_custom_command(OUTPUT ${watch_texts_c}
    COMMAND ${CMAKE_COMMAND} -D "FILES=${watch_texts}" -D OUTPUT=${watch_texts_c}
            -P ${CMAKE_CURRENT_LIST_DIR}/embed.cmake
    DEPENDS ${watch_texts} ${CMAKE_CURRENT_LIST_DIR}/embed.cmake VERBATIM)
target_sources(domicile_watch PRIVATE ${watch_texts_c})
