# Each verb is a script of its own under script/; this file only lists them.
.PHONY: help build test check bench docs run release
.DEFAULT_GOAL := help

help: ## show these verbs
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 18

build: ## build for development: .build/debug/reeve
	@script/assets && swift build

run: ## start Reeve with the demo fleet
	@script/run

test: ## run every test
	@script/test

check: ## format and tidiness
	@script/check

bench: ## list the benchmarks
	@script/bench

docs: ## write docs/reference anew
	@script/docs

release: ## build .build/release/reeve
	@script/build
