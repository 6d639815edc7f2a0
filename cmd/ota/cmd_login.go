package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/cli/secret"
	"github.com/secure-ota/secure-ota/internal/home"
)

// maxToken bounds what is read of a token, in bytes.
const maxToken = 256

type loginOptions struct {
	env         *env.Env
	fingerprint string
	tokenFile   string
}

func loginCommand(e *env.Env) *cobra.Command {
	o := loginOptions{env: e}
	cmd := &cobra.Command{
		Use:   "login URL",
		Short: "Store the token of a server in the home",
		Long: `Check a token with a server and store it in the home, readable by you alone.

The token is asked for on a terminal; otherwise it comes from OTA_TOKEN, --token-file or standard
input. --fingerprint pins the server's certificate, as "ota serve" prints it; without it a CA of
the system must vouch for the server.`,
		Example: `  ota login https://ota.example.com
  ota login https://10.0.0.5:8443 --fingerprint 6a3f…`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&o.fingerprint, "fingerprint", "", "SHA-256 of the server's certificate, in `HEX`")
	cmd.Flags().StringVar(&o.tokenFile, "token-file", "", "read the token from `FILE`")
	return cmd
}

func (o *loginOptions) run(ctx context.Context, url string) error {
	h, err := o.env.Home()
	if err != nil {
		return err
	}
	token, err := o.token(url)
	if err != nil {
		return err
	}
	login := home.Login{URL: strings.TrimSuffix(url, "/"), Fingerprint: o.fingerprint, Token: token}
	client, err := newClient(login)
	if err != nil {
		return err
	}
	info, err := client.Info(ctx)
	if err != nil {
		return err
	}
	if err := h.SetLogin(login); err != nil {
		return err
	}
	return o.env.Print(record.Record{
		{Name: "server", Value: login.URL},
		{Name: "vendor", Value: info.Vendor},
		{Name: "role", Value: info.Role},
		{Name: "device types", Value: info.DeviceTypes},
	})
}

func (o *loginOptions) token(url string) (string, error) {
	var text []byte
	var err error
	fd, isTerminal := secret.Terminal(o.env.Stdin)
	switch {
	case o.tokenFile != "":
		text, err = secret.ReadFile(o.tokenFile, maxToken)
	case o.env.Getenv(tokenVariable) != "":
		text = []byte(o.env.Getenv(tokenVariable))
	case isTerminal:
		text, err = secret.Ask(fd, o.env.Stderr, fmt.Sprintf("token for %s: ", url))
	default:
		text, err = bufio.NewReader(io.LimitReader(o.env.Stdin, maxToken)).ReadBytes('\n')
		if err == io.EOF {
			err = nil
		}
	}
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", exit.Usagef("no token: set %s, give --token-file, or run it on a terminal", tokenVariable)
	}
	return token, nil
}
