# pneu: one Makefile for everything.
#
#   make run          install what is missing, build, start a demo (RUN_DIR, PORT_BASE, CA)
#   make test         install what the tests need, build, run all tests
#   make              build all programs into build/
#   make install      with DESTDIR and PREFIX
#   make SAN=1 ...    the same with ASan and UBSan, in build/san/
#   make unit | e2e | fuzz | bench | torture | page-test | format | check-style

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

PREFIX  ?= /usr/local
CC      ?= cc
RUN_DIR ?= run
PORT_BASE ?= 2000
FUZZ_SECONDS ?= 60

PROGRAMS := mta guard mailbox msa qm gateway mgmt
COMMON   := base net mail smtp store auth imap

ifdef SAN
B := build/san
OPT := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
       -fno-sanitize-recover=undefined
else
B := build
OPT := -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong
LDOPT := -Wl,-z,relro,-z,now -pie
endif
ifdef FUZZER
B := build/fuzz
CC := clang
OPT := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
       -fno-sanitize-recover=undefined -DFUZZING
LDOPT :=
endif

PKGS := libevent_core libevent_extra libevent_openssl openssl jansson libgsasl \
        libcurl expat libzstd zlib libidn2 libpsl libseccomp
CPPFLAGS += -D_GNU_SOURCE -I.
CFLAGS   ?= -g
ALL_CFLAGS = -std=c11 $(CFLAGS) $(OPT) -fPIE -Wall -Wextra -Wshadow \
        -Wconversion -Wno-sign-conversion -Werror -MMD -MP
LDLIBS   += -Wl,--as-needed -levent_core -levent_extra -levent_openssl \
        -lssl -lcrypto -llmdb -ljansson -lgsasl -lcrypt -lunbound -lcurl \
        -lexpat -lzstd -lz -lidn2 -lunistring -lpsl -lseccomp -lpthread
ALL_LDFLAGS = $(OPT) $(LDOPT) $(LDFLAGS)

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
src = $(wildcard $(1)/*.c $(1)/*/*.c)

LIB := $(B)/libpneu.a
LIB_OBJS := $(call obj,$(foreach d,$(COMMON),$(call src,common/$(d))))

binary = $(B)/$(if $(filter mgmt,$(1)),pneu,pneu-$(1))
BINARIES := $(foreach p,$(PROGRAMS),$(if $(wildcard $(p)/main.c),$(call binary,$(p))))

.PHONY: all
all: $(BINARIES)

$(LIB): $(LIB_OBJS)
	@mkdir -p $(@D)
	@rm -f $@
	@ar rcs $@ $^

$(B)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$(B)/obj/mailbox/api/api_openapi.o: mailbox/api/openapi.json
$(B)/obj/mgmt/api/manage_openapi.o: mgmt/api/openapi.json
$(B)/obj/mgmt/web.o: $(wildcard mgmt/web/*)
$(B)/obj/mailbox/mails/pack.o: $(wildcard mailbox/mails/dictionary.*)

# longjmp to another stack is what a coroutine switch is.
$(B)/obj/common/base/co.o: ALL_CFLAGS += -U_FORTIFY_SOURCE

# One program: its own objects (an archive without main.o for the tests).
define program
$(1)_OBJS := $$(call obj,$$(call src,$(1)))
$$(B)/$(1).a: $$(filter-out $$(B)/obj/$(1)/main.o,$$($(1)_OBJS))
	@rm -f $$@
	@ar rcs $$@ $$^
$$(call binary,$(1)): $$($(1)_OBJS) $$(LIB)
	@echo "  LD $$@"
	@$$(CC) $$(ALL_LDFLAGS) -o $$@ $$($(1)_OBJS) $$(LIB) $$(LDLIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# --- unit tests: tests/unit/AREA/test_x.c, AREA is common or a program ---

UNIT_SRC := $(wildcard tests/unit/*/test_*.c)
UNIT := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))
area = $(word 1,$(subst /, ,$(1)))
area_lib = $(if $(filter common,$(1)),,$(B)/$(1).a)

.SECONDEXPANSION:
$(UNIT): $(B)/unit/%: $(B)/obj/tests/unit/%.o $$(call area_lib,$$(call area,$$*)) $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

.PHONY: unit
unit: $(UNIT)
	@tests/run-unit $(UNIT)

# --- long forms of tests: make torture [SECONDS=600, of each] [TORTURE=name] ---

.PHONY: torture
torture: all tests-build
	@PNEU_BUILD=$(B) tests/torture/run $(or $(SECONDS),600) $(TORTURE)

# --- fuzz targets: tests/fuzz/AREA/fuzz_x.c, x.dict, corpus/x/ ---

FUZZ_SRC := $(wildcard tests/fuzz/*/fuzz_*.c)
FUZZ := $(patsubst tests/fuzz/%.c,build/fuzz/bin/%,$(FUZZ_SRC))
ifdef FUZZER
$(FUZZ): build/fuzz/bin/%: $(B)/obj/tests/fuzz/%.o $$(call area_lib,$$(call area,$$*)) $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)
.PHONY: fuzz-build
fuzz-build: $(FUZZ)
endif
.PHONY: fuzz
fuzz:
	@$(MAKE) --no-print-directory FUZZER=1 fuzz-build
	@tests/run-fuzz $(FUZZ_SECONDS) $(FUZZ)

# --- test programs: tests/programs/x.c becomes build/tests/x ---

# shim_x.c is a library for LD_PRELOAD: build/tests/shim_x.so, never sanitized.
SHIM_SRC := $(wildcard tests/programs/shim_*.c)
TEST_PROGRAMS := $(patsubst tests/programs/%.c,$(B)/tests/%, \
        $(filter-out $(SHIM_SRC),$(wildcard tests/programs/*.c))) \
        $(patsubst tests/programs/%.c,$(B)/tests/%.so,$(SHIM_SRC))
# Fills a store, and so knows Mails.
TEST_PROGRAMS += $(B)/tests/bigbox
$(B)/tests/shim_%.so: tests/programs/shim_%.c Makefile
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) -std=c11 $(CFLAGS) -O1 -fPIC -shared -Wall -Wextra \
		-Wshadow -Wconversion -Werror -o $@ $< -ldl
$(B)/tests/%: $(B)/obj/tests/programs/%.o $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)
.PHONY: tests-build
tests-build: all $(UNIT) $(TEST_PROGRAMS)

# --- tools that make something: tools/x.c becomes build/tools/x ---

$(B)/tools/%: $(B)/obj/tools/%.o $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

.PRECIOUS: $(B)/obj/%.o $(B)/tools/%

MAN_MADE := $(B)/man/pneu.conf.5
$(B)/man/%: docs/man/%.in $(B)/tools/conf-man
	@mkdir -p $(@D)
	@$(B)/tools/conf-man < $< > $@
.PHONY: man
man: $(MAN_MADE)
all: man

# --- all together ---

.PHONY: deps deps-run deps-test e2e test run
deps:
	@tools/deps build
deps-run:
	@tools/deps run
deps-test:
	@tools/deps $(if $(CI)$(PEERS),peers,test)

e2e: all $(TEST_PROGRAMS)
	@PNEU_BUILD=$(B) tests/run-e2e $(TESTS)

# The web page in Chromium; SHOTS=FOLDER keeps a picture of each view.
.PHONY: page-test
page-test: all
	@tools/deps page
	@PNEU_BUILD=$(B) tests/page/run

test: deps-test
	@tests/run-all "$(MAKE)"

run: deps-run
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@CA="$(CA)" exec tools/demo $(B) "$(RUN_DIR)" "$(PORT_BASE)"

.PHONY: bench
bench: all $(TEST_PROGRAMS) $(B)/bench-compaction
	@tools/deps peers
	@tests/bench/bench.py $(BENCH)

$(B)/tests/bigbox: $(B)/obj/tests/bench/bigbox.o $(B)/mailbox.a $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

# Mails alone: build/bench-mails DIR [WRITERS] [MESSAGES] [SEALED]
#              build/bench-space DIR LEVEL FILE...
$(B)/bench-%: $(B)/obj/tests/bench/bench_%.o $(B)/mailbox.a $(LIB)
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

# A record of the trace alone: build/bench-trace DIR [RECORDS]
$(B)/bench-trace: $(B)/obj/tests/bench/bench_trace.o $(LIB)
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: format check-style
SOURCES = $(shell git ls-files '*.c' '*.h')
format:
	clang-format -i $(SOURCES)
check-style:
	@tools/check-style

# --- install ---

SBINDIR  ?= $(PREFIX)/sbin
MANDIR   ?= $(PREFIX)/share/man
UNITDIR  ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
DOCDIR   ?= $(PREFIX)/share/doc/pneu
ETCDIR   ?= /etc/pneu
MAN := $(wildcard docs/man/*.[158])

.PHONY: install uninstall
install: all
	install -d $(addprefix $(DESTDIR),$(SBINDIR) $(MANDIR)/man5 $(MANDIR)/man8 \
		$(UNITDIR) $(SYSUSERSDIR) $(TMPFILESDIR) $(DOCDIR) $(ETCDIR))
	install -m 755 $(BINARIES) $(DESTDIR)$(SBINDIR)
	for m in $(MAN) $(MAN_MADE); do \
		install -m 644 $$m $(DESTDIR)$(MANDIR)/man$${m##*.}/; done
	for u in contrib/systemd/*.service contrib/systemd/*.socket contrib/systemd/*.target; do \
		sed 's|@SBINDIR@|$(SBINDIR)|g' $$u > $(DESTDIR)$(UNITDIR)/$${u##*/}; done
	install -m 644 contrib/systemd/sysusers.conf $(DESTDIR)$(SYSUSERSDIR)/pneu.conf
	install -m 644 contrib/systemd/tmpfiles.conf $(DESTDIR)$(TMPFILESDIR)/pneu.conf
	sed 's|@SBINDIR@|$(SBINDIR)|g' contrib/inetd.conf > $(DESTDIR)$(DOCDIR)/inetd.conf
	install -m 644 contrib/pneu.conf $(DESTDIR)$(DOCDIR)/pneu.conf
	test -e $(DESTDIR)$(ETCDIR)/pneu.conf || \
		install -m 644 contrib/pneu.conf $(DESTDIR)$(ETCDIR)/pneu.conf

.PHONY: clean
clean:
	rm -rf build

-include $(shell test -d $(B)/obj && find $(B)/obj -name '*.d')
