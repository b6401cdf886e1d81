# cmake -D FILE=guard.sh -D OUTPUT=x.c -P embed.cmake: the script as a C string, without its comments and indentation.
file(READ ${FILE} text)
string(REGEX REPLACE "(^|\n)[\t ]*#[^\n]*" "" text "${text}")
string(REGEX REPLACE "\n[\t\n ]*" "\n" text "${text}")
string(HEX "${text}" bytes)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"ssh/guard_text.h\"\n\nconst char guard_text[] = { ${bytes}0 };\n")
