PREFIX ?= /usr/local
DESTDIR ?=
# systemd looks into /usr/local/lib and /usr/lib.
UNITDIR ?= $(PREFIX)/lib/systemd/system
FUZZ_SECONDS ?= 600
# What is not linked needs no libFuzzer, which takes a minute and a C++ compiler.
FUZZ_CHECK = CUSTOM_LIBFUZZER_PATH=/dev/null
CARGO ?= cargo
RELEASE = $(or $(CARGO_TARGET_DIR),target)/release

# Tests make network namespaces. An ordinary user's test binaries run through sudo; the build does not.
ifneq ($(shell id -u),0)
AS_ROOT = --config 'target."cfg(unix)".runner=["sudo", "-E", "env", "PATH=$(PATH)"]'
HOW = the test binaries run through sudo: they make network namespaces
else
HOW = the test binaries run as root: they make network namespaces
endif

.PHONY: help setup build demo test differential lint deny bench instructions bless fuzz install uninstall

help:
	@echo 'make demo     installs what is missing, builds, shows the main job in private network namespaces'
	@echo 'make test     installs what is missing, runs all tests (as root: they make network namespaces)'
	@echo 'make differential  sends packets of ever new specs through the kernel, for SECONDS=$(SECONDS) from SEED=$(SEED)'
	@echo 'make build    builds the release binary, $(RELEASE)/fwc'
	@echo 'make install  installs it, its manual, unit, schema and examples under DESTDIR and PREFIX ($(PREFIX))'
	@echo 'make uninstall  removes what make install has put there, and nothing else'
	@echo 'make setup    installs the Debian packages that build and tests need, where they are missing'
	@echo 'make lint     formatting, clippy and documentation, all without warnings'
	@echo 'make deny     licences, sources and bans of the dependencies (needs cargo-deny)'
	@echo 'make bench    measures against nft and ferm'
	@echo 'make instructions  counts the instructions of fixed runs, and fails where one takes 5% more than benches/instructions.json has'
	@echo 'make fuzz     lets libFuzzer loose on each reader for FUZZ_SECONDS ($(FUZZ_SECONDS)) seconds'
	@echo 'make bless    writes the golden files anew; read what changed before you commit it'

setup:
	scripts/setup.sh test

build:
	scripts/setup.sh build
	$(CARGO) build --release --locked

demo:
	scripts/demo.sh

test: setup
	@echo 'make test: $(HOW)'
	$(CARGO) test --locked $(AS_ROOT)

SECONDS ?= 600
SEED ?= 1
differential: export FWC_DIFFERENTIAL_SECONDS = $(SECONDS)
differential: export FWC_DIFFERENTIAL_SEED = $(SEED)
differential: setup
	$(CARGO) test --locked $(AS_ROOT) --test differential -- --nocapture as_long_as

lint:
	scripts/setup.sh build
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(FUZZ_CHECK) $(CARGO) clippy --locked --manifest-path fuzz/Cargo.toml --target-dir $(or $(CARGO_TARGET_DIR),target) -- -D warnings

deny:
	$(CARGO) deny check bans licenses sources

bench:
	scripts/setup.sh bench
	benches/run

instructions: build
	scripts/setup.sh instructions
	benches/instructions

fuzz:
	scripts/fuzz.sh $(FUZZ_SECONDS)

bless: export FWC_BLESS = 1
bless: test

# Builds only what is not there, so that `make build` and `sudo make install` do not need cargo twice.
install:
	test -x $(RELEASE)/fwc || $(MAKE) build
	install -D -m 755 $(RELEASE)/fwc $(DESTDIR)$(PREFIX)/bin/fwc
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/fwc $(wildcard schemas/*.json)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/fwc packaging/FILES.md
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/fwc/examples $(wildcard examples/*.yaml examples/*.txt)
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,$(dir $(COMPLETIONS)) man/man1) $(DESTDIR)$(UNITDIR)
	$(RELEASE)/fwc man --output $(DESTDIR)$(PREFIX)/share/man/man1
	$(RELEASE)/fwc completions bash >$(DESTDIR)$(PREFIX)/share/$(word 1,$(COMPLETIONS))
	$(RELEASE)/fwc completions zsh >$(DESTDIR)$(PREFIX)/share/$(word 2,$(COMPLETIONS))
	$(RELEASE)/fwc completions fish >$(DESTDIR)$(PREFIX)/share/$(word 3,$(COMPLETIONS))
	sed 's|/usr/local/bin|$(PREFIX)/bin|' packaging/fwc.service >$(DESTDIR)$(UNITDIR)/fwc.service
	chmod 644 $(DESTDIR)$(UNITDIR)/fwc.service $(addprefix $(DESTDIR)$(PREFIX)/share/,$(COMPLETIONS))

COMPLETIONS = bash-completion/completions/fwc zsh/site-functions/_fwc fish/vendor_completions.d/fwc.fish

# Not /etc/fwc and /var/lib/fwc, which are the administrator's; packaging/FILES.md has the whole way out.
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/fwc $(DESTDIR)$(UNITDIR)/fwc.service $(addprefix $(DESTDIR)$(PREFIX)/share/,$(COMPLETIONS))
	rm -f $(DESTDIR)$(PREFIX)/share/man/man1/fwc.1 $(DESTDIR)$(PREFIX)/share/man/man1/fwc-*.1
	rm -rf $(DESTDIR)$(PREFIX)/share/fwc $(DESTDIR)$(PREFIX)/share/doc/fwc
