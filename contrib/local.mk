# systemd units and shell completion: see Makefile.am for the lists.
