# Unit tests (cmocka, TAP): what each part of the library and of the server's
# protocol does by itself, without files or sockets where that is possible.
# See tests/local.mk for how to add a test.
