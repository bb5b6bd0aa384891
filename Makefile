.PHONY: demo test check bench soak proto clean setup lock
demo: ; @scripts/demo.sh
test: ; @scripts/test.sh
check: ; @scripts/check.sh
bench: ; @scripts/bench.sh
soak: ; @scripts/soak.sh
proto: setup ; @scripts/proto.sh
clean: ; @scripts/clean.sh
setup: ; @scripts/setup.sh
lock: ; @scripts/lock.sh
