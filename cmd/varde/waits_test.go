package main_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"varde/internal/studytest/peers"
)

// awaitLog waits until the service has logged a line with all of the words.
func (s *service) awaitLog(words ...string) {
	s.t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		for line := range strings.Lines(s.log.String()) {
			if containsAll(line, words...) {
				return
			}
		}
		select {
		case <-s.gone:
			s.t.Fatalf("it has ended with %d before it said %q\n%s", s.cmd.ProcessState.ExitCode(), words, s.log.tail())
		default:
		}
		if time.Since(began) > time.Minute {
			s.t.Fatalf("it does not say %q\n%s", words, s.log.tail())
		}
	}
}

// code asks a path as nobody.
func (s *service) code(path string) (int, string) {
	s.t.Helper()
	a, err := s.askAs("", http.MethodGet, path, "", "", nil)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", path, err, s.log.tail())
	}
	return a.code, string(a.body)
}

// TestServiceStartsBeforeWhatItStandsOn begins a service while its object store, its
// database and its Redis are all away, and brings them one after the other. It says of
// each that it waits, turns senders away meanwhile, and works in the end.
func TestServiceStartsBeforeWhatItStandsOn(t *testing.T) {
	p := newPlant(t)
	p.minio.Kill()
	p.sql.Kill()
	p.redis.Kill()
	s := p.on(t, "serve")
	s.begin()
	s.awaitLog("waiting for it", `"service":"objects"`, "remedy")
	if code, _ := s.code("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz answers %d while it waits", code)
	}
	for _, path := range []string{"/healthz?started", "/readyz", "/", "/api/v1/studies"} {
		if code, body := s.code(path); code != http.StatusServiceUnavailable || !strings.Contains(body, `"objects"`) || strings.Contains(body, p.minio.Addr) {
			t.Errorf("%s answers %d while it waits: %s", path, code, body)
		}
	}
	host, port, _ := strings.Cut(s.dicom, ":")
	if e := peer(t, "echoscu", "-aec", "VARDE", host, port); e.code == 0 {
		t.Error("a sender is answered while the object store is away")
	}
	p.minio.Start(t)
	s.awaitLog("service is there", `"service":"objects"`)
	s.awaitLog("waiting for it", `"service":"ledger"`)
	p.sql.Start(t)
	s.awaitLog("service is there", `"service":"ledger"`)
	s.ready() // the queue may come last of all
	if code, _ := s.code("/healthz?started"); code != http.StatusOK {
		t.Errorf("/healthz?started answers %d after the start", code)
	}
	if a, err := s.ask(http.MethodGet, "/readyz", "", "", nil); err != nil || a.code != http.StatusServiceUnavailable || !strings.Contains(string(a.body), `"name":"queue","ok":false`) {
		t.Errorf("/readyz without Redis: %d %s %v", a.code, a.body, err)
	}
	d := smallMG(t, 1, true)
	s.push(d)
	p.redis.Start(t)
	s.reported(d.Study, len(d.Objects))
	if log := s.log.String(); strings.Contains(log, peers.MinIOSecretKey) {
		t.Error("the log holds a secret")
	}
	if code := s.stop(); code != 0 {
		t.Errorf("it ends with %d", code)
	}
}

// TestServiceThatNeverComesEndsTheStart: the wait has an end, and a signal ends it too.
func TestServiceThatNeverComesEndsTheStart(t *testing.T) {
	away := "s3://varde?secure=0&endpoint=" + peers.Addr(t)
	s := newService(t, "--store", away)
	s.env = []string{"VARDE_WAIT_SERVICES=1s"}
	s.begin()
	<-s.gone
	if code := s.cmd.ProcessState.ExitCode(); code != 1 || !containsAll(lastLine(s.log.String()), "waited 1s for the objects", "--wait-services", "--store", "connection refused") {
		t.Errorf("it ends with %d\n%s", code, s.log.tail())
	}
	s = newService(t, "--store", away, "--wait-services", "0")
	s.begin()
	<-s.gone
	if code := s.cmd.ProcessState.ExitCode(); code != 1 || strings.Contains(s.log.String(), "waiting for it") {
		t.Errorf("without a wait it ends with %d\n%s", code, s.log.tail())
	}
	s = newService(t, "--store", away)
	s.begin()
	s.awaitLog("waiting for it")
	if code := s.stop(); code != 0 {
		t.Errorf("asked to stop it ends with %d\n%s", code, s.log.tail())
	}
}

// TestWrongWordsEndTheStartAtOnce: what waiting can't mend is not waited for. A start
// that waited would outlast the test.
func TestWrongWordsEndTheStartAtOnce(t *testing.T) {
	p := newPlant(t)
	locked := peers.StartRedis(t, "--requirepass", "right")
	good := map[string]string{"--store": p.minio.Bucket(p.bucket), "--queue": p.redis.URL(), "--ledger": p.ledger}
	right := []string{"VARDE_S3_ACCESS_KEY=" + peers.MinIOAccessKey, "VARDE_S3_SECRET_KEY=" + peers.MinIOSecretKey}
	for _, tt := range []struct {
		what, flag, value string
		env               []string
		words             string
	}{
		{"a wrong secret key", "", "", []string{"VARDE_S3_ACCESS_KEY=" + peers.MinIOAccessKey, "VARDE_S3_SECRET_KEY=wrong-key"}, "--store"},
		{"a bucket that can't be", "--store", "s3://A?secure=0&endpoint=" + p.minio.Addr, right, "--store"},
		{"TLS where there is none", "--store", "s3://varde?endpoint=" + p.minio.Addr, right, "--store"},
		{"a name that nobody has", "--store", "s3://varde?endpoint=nobody.invalid:9000", right, "--store"},
		{"a database that is not there", "--ledger", strings.Replace(p.ledger, "/postgres?", "/nowhere?", 1), right, "nowhere"},
		{"a user who is not there", "--ledger", strings.Replace(p.ledger, "varde@", "stranger:secret@", 1), right, "stranger"},
		{"a Redis that wants a password", "--queue", locked.URL(), right, "--queue"},
		{"a wrong password of Redis", "--queue", strings.Replace(locked.URL(), "redis://", "redis://:secret@", 1), right, "--queue"},
		{"a database that Redis has not", "--queue", strings.TrimSuffix(p.redis.URL(), "0") + "99", right, "--queue"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			var args []string
			for flag, value := range good {
				if flag == tt.flag {
					value = tt.value
				}
				args = append(args, flag, value)
			}
			s := newService(t, append(args, "--wait-services", "1h")...)
			s.env = tt.env
			s.begin()
			select {
			case <-s.gone:
			case <-time.After(time.Minute):
				t.Fatalf("it waits\n%s", s.log.tail())
			}
			if code := s.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(lastLine(s.log.String()), tt.words) || strings.Contains(s.log.String(), "waiting for it") {
				t.Errorf("it ends with %d\n%s", code, s.log.tail())
			}
			if log := s.log.String(); strings.Contains(log, "secret") || strings.Contains(log, "wrong-key") {
				t.Errorf("it says what it must not\n%s", log)
			}
		})
	}
}
