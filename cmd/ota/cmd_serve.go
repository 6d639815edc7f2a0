package main

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/internal/logging"
	"github.com/secure-ota/secure-ota/server"
)

type serveOptions struct {
	env     *env.Env
	config  server.Config
	verbose bool
	log     string // format
	level   string
	proxies []string
	storage storage
	oidc    oidcOptions
}

func serveCommand(e *env.Env) *cobra.Command {
	o := serveOptions{env: e}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve devices, operators and the console from a data directory",
		Long: `Serve a data directory: SQLite and files, TLS on. Without --cert it makes a certificate of its
own, once, whose fingerprint clients pin. The first start prints an administrator's token, once.

The flags' defaults stand in server.json of the home; without a home, --data is needed.
--plain opens a second listener without TLS, for devices that have none: it carries only what
protects itself. It ends on an interrupt, after the running requests.

--database and --blobs store in PostgreSQL and S3 instead, for any number of replicas; ota migrate
moves a data directory there (docs/operations-storage.md).

/healthz and /readyz answer load balancers on every listener, /metrics answers Prometheus with a
viewer's token on the TLS listener, and without one on that of --metrics-address, which is for this
machine or a network of yours (docs/operations.md).`,
		Example: `  ota serve
  ota serve --data /var/lib/ota --public-url https://ota.example.com --cert tls.crt --cert-key tls.key
  ota serve --data /var/lib/ota --trusted-proxy 10.0.0.2 --metrics-address 127.0.0.1:9464 --log-format json
  ota serve --data /var/lib/ota --database postgres://ota@db/ota --blobs 's3://firmware/prod?region=eu-central-1'
  ota serve --data /var/lib/ota --public-url https://ota.example.com --oidc-issuer https://login.example.com \
    --oidc-client-id ota --oidc-secret-file oidc.secret --oidc-role ota-admins=administrator --oidc-role ota-viewers=viewer
  ota serve --data data --listen 127.0.0.1:0 --plain 127.0.0.1:0 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.config.OIDC, err = o.oidc.read(cmd, e.Getenv(credentialsVariable)); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.config.Dir, "data", "", "data `DIR`, made if it is missing")
	flags.StringVar(&o.config.TLSAddress, "listen", "", "`HOST:PORT` of the TLS listener, or none (default :8443)")
	flags.StringVar(&o.config.PlainAddress, "plain", "", "`HOST:PORT` of a listener without TLS (default: none)")
	flags.StringVar(&o.config.PublicURL, "public-url", "", "`URL` under which devices reach the server")
	flags.StringVar(&o.config.CertFile, "cert", "", "PEM `FILE` of the certificate (default: a certificate of its own)")
	flags.StringVar(&o.config.KeyFile, "cert-key", "", "PEM `FILE` of its key")
	flags.DurationVar(&o.config.Retry, "retry", time.Hour, "after which `TIME` devices ask again")
	flags.StringVar(&o.config.MetricsAddress, "metrics-address", "", "`HOST:PORT` of a listener for monitoring alone, without tokens (default: none)")
	flags.StringArrayVar(&o.proxies, "trusted-proxy", nil, "`ADDRESS` or network of a reverse proxy whose X-Forwarded-For and X-Request-Id are believed; may be repeated")
	flags.StringVar(&o.log, "log-format", logging.Text, "`FORMAT` of the log: text or json")
	flags.StringVar(&o.level, "log-level", "info", "least `LEVEL` that is logged: debug, info, warn or error")
	flags.BoolVar(&o.verbose, "verbose", false, "log every request: --log-level debug")
	o.storage.flags(cmd)
	o.oidc.flags(cmd)
	cmd.MarkFlagsRequiredTogether("cert", "cert-key")
	cmd.MarkFlagsMutuallyExclusive("verbose", "log-level")
	return cmd
}

func (o *serveOptions) run(ctx context.Context) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	if err := o.check(); err != nil {
		return err
	}
	if err := o.fromHome(); err != nil {
		return err
	}
	if err := checkDir(o.config.Dir); err != nil {
		return err
	}
	key, err := makeAuditKey(o.config.Dir)
	if err != nil {
		return err
	}
	o.config.AuditSigner, o.config.Version = key, version
	s, err := server.New(ctx, o.config)
	if err != nil {
		return err
	}
	if err := s.Listen(ctx); err != nil {
		s.Close(context.WithoutCancel(ctx))
		return err
	}
	if err := o.announce(s); err != nil {
		s.Close(context.WithoutCancel(ctx))
		return err
	}
	return s.Run(ctx)
}

// check looks at what the flags say.
func (o *serveOptions) check() error {
	for flag, address := range map[string]string{
		"listen": o.config.TLSAddress, "plain": o.config.PlainAddress, "metrics-address": o.config.MetricsAddress,
	} {
		if address == "" || address == "none" && flag != "metrics-address" {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return exit.Usagef("--%s %q: want HOST:PORT or :PORT, such as :8443, or none", flag, address)
		}
	}
	for _, text := range o.proxies {
		network, err := parseNetwork(text)
		if err != nil {
			return exit.Usagef("--trusted-proxy %q: want an address or a network, such as 10.0.0.2 or 10.0.0.0/24", text)
		}
		o.config.TrustedProxies = append(o.config.TrustedProxies, network)
	}
	return o.openLog()
}

// parseNetwork reads a network, or an address, which is a network of one.
func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr.Prefix(addr.BitLen())
	}
	network, err := netip.ParsePrefix(text)
	return network.Masked(), err
}

// openLog makes the log that the flags ask for.
func (o *serveOptions) openLog() error {
	level, err := logging.ParseLevel(o.level)
	if err != nil {
		return exit.Usagef("--log-level: %w", err)
	}
	if o.verbose {
		level = slog.LevelDebug
	}
	if o.config.Log, err = logging.New(o.env.Stderr, o.log, level); err != nil {
		return exit.Usagef("--log-format: %w", err)
	}
	return nil
}

// fromHome fills in what no flag says.
func (o *serveOptions) fromHome() error {
	h, err := o.env.HomeIfAny()
	if err != nil {
		return err
	}
	c := home.DefaultServerConfig()
	switch {
	case h != nil:
		if c, err = h.ServerConfig(); err != nil {
			return err
		}
		o.config.Vendor = h.Vendor()
	case o.config.Dir == "":
		return exit.Usagef("there is no home: name the data directory with --data")
	}
	for _, f := range []struct {
		flag *string
		home string
	}{
		{&o.config.Dir, c.Data},
		{&o.config.TLSAddress, c.TLSAddress},
		{&o.config.PlainAddress, c.PlainAddress},
		{&o.config.PublicURL, c.PublicURL},
	} {
		if *f.flag == "" {
			*f.flag = f.home
		}
	}
	if err := o.storage.fill(o.env, c); err != nil {
		return err
	}
	o.config.Database, o.config.Blobs = o.storage.database, o.storage.blobs
	return nil
}

// announce says where the server is and how to know it; the token, once.
func (o *serveOptions) announce(s *server.Server) error {
	dir, err := filepath.Abs(o.config.Dir)
	if err != nil {
		return err
	}
	said := record.Record{{Name: "data", Value: dir}}
	if o.config.Database != "" {
		said.Add("database", s.Repository().Store().Location())
	}
	if o.config.Blobs != "" {
		said.Add("images", o.config.Blobs)
	}
	if a := s.TLSAddr(); a != nil {
		said.Addn("tls", "https://"+dialable(a.String()), reachOf(a))
		said.Add("fingerprint", s.Fingerprint())
	}
	if a := s.PlainAddr(); a != nil {
		said.Addn("plain", "http://"+dialable(a.String()), reachOf(a))
	}
	if a := s.MetricsAddr(); a != nil {
		said.Addn("metrics", "http://"+dialable(a.String())+"/metrics", "for whoever reaches it")
	}
	said.Add("public url", o.config.PublicURL)
	if token, ok := s.InitialToken(); ok {
		said.Addn("administrator token", token, "shown this once: ota login")
	}
	return o.env.Print(said)
}

// reachOf says which addresses of this machine a listener has, if it has all.
func reachOf(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return "and on every address of this machine"
	}
	return ""
}
