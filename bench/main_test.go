package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/server"
)

// childEnv makes the test binary one of the servers that are measured.
const childEnv = "BENCH_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "bare":
		bare()
	case "ours":
		ours(os.Getenv("BENCH_DIR"), os.Getenv("BENCH_PROFILE"))
	}
}

// bare is the least that a JSON API over net/http does: decode, encode.
func bare() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	panic(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Device string `json:"device"`
			Nonce  uint64 `json:"nonce"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"device": in.Device, "nonce": in.Nonce, "update": nil, "retry_seconds": 3600})
	})))
}

// ours is `ota serve`, with a CPU profile for those who want to know more.
func ours(dir, profile string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s, err := server.New(ctx, server.Config{
		Dir: dir, TLSAddress: server.NoTLS, PlainAddress: "127.0.0.1:0", Retry: time.Hour, MaxConnections: 20_000,
	})
	if err != nil {
		panic(err)
	}
	if err := s.Listen(ctx); err != nil {
		panic(err)
	}
	fmt.Println(s.PlainAddr())
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			panic(err)
		}
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	s.Run(ctx)
}
