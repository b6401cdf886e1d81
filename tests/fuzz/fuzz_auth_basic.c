/* Authorization headers and token forms: all three parsers get the same bytes. */
#include "auth/credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str text = { (const char *)bytes, size };
    struct basic_credentials credentials;
    if (!failed(basic_parse(text, &credentials))) {
        must(str_is_id((struct str){ credentials.id, credentials.id_len }));
        must(credentials.secret_len > 0 && credentials.secret_len <= sizeof credentials.secret);
    }
    struct str token;
    if (!failed(bearer_parse(text, &token)))
        must(token.len > 0 && token.ptr >= text.ptr && token.ptr + token.len <= text.ptr + text.len);
    static struct token_form form;
    if (!failed(token_form_parse(text, &form)))
        must(form.grant_type.len > 0 && form.grant_type.ptr >= form.text &&
             form.grant_type.ptr + form.grant_type.len <= form.text + sizeof form.text);
    return 0;
}
