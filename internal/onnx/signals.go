package onnx

/*
#define _GNU_SOURCE
#include <signal.h>

enum { last = 64 };
static struct sigaction saved[last + 1];
static int known[last + 1];

static void save_handlers(void) {
	for (int i = 1; i <= last; i++) known[i] = sigaction(i, 0, &saved[i]) == 0;
}

// Puts back every handler that was replaced meanwhile and returns their number.
static int restore_handlers(void) {
	int n = 0;
	for (int i = 1; i <= last; i++) {
		struct sigaction now;
		if (!known[i] || sigaction(i, 0, &now) != 0) continue;
		if (now.sa_sigaction == saved[i].sa_sigaction && now.sa_flags == saved[i].sa_flags) continue;
		if (sigaction(i, &saved[i], 0) == 0) n++;
	}
	return n;
}

// For the test: a handler as a careless library sets it, without SA_ONSTACK.
static void ignore(int sig) { (void)sig; }
static void replace_handler(int sig) { signal(sig, ignore); }
*/
import "C"

import "sync"

// signals guards the C side's memory of the handlers for the length of one call.
var signals sync.Mutex

// keepingSignals does something that may replace the process's signal handlers,
// as CUDA does, and puts them back: Go's must stay, or the next Ctrl-C is a crash.
// It returns how many it had to put back.
func keepingSignals(do func() error) (restored int, err error) {
	signals.Lock()
	defer signals.Unlock()
	C.save_handlers()
	defer func() { restored = int(C.restore_handlers()) }()
	return 0, do()
}

// replaceHandler stands for a careless library.
func replaceHandler(signal int) { C.replace_handler(C.int(signal)) }
