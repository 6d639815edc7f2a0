package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/idp"
)

// oidcOptions say which identity provider logs operators in to the console.
type oidcOptions struct {
	config     idp.Config
	secretFile string
	roles      []string
}

func (o *oidcOptions) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.config.Issuer, "oidc-issuer", "", "`URL` of an OpenID Connect provider by which people log in to the console; needs --public-url (docs/operations.md)")
	flags.StringVar(&o.config.ClientID, "oidc-client-id", "", "`ID` of this server at the provider")
	flags.StringVar(&o.secretFile, "oidc-secret-file", "", "`FILE` with the client's secret, one line; without it the client is a public one")
	flags.StringVar(&o.config.NameClaim, "oidc-name-claim", idp.DefaultNameClaim, "`CLAIM` that the audit log calls people by; nobody else may ever get it")
	flags.StringVar(&o.config.RoleClaim, "oidc-role-claim", idp.DefaultRoleClaim, "`CLAIM` whose values have roles: a text or a list")
	flags.StringArrayVar(&o.roles, "oidc-role", nil, "`VALUE=ROLE`: what people with that value of the claim are; may be repeated, the highest counts")
	flags.StringSliceVar(&o.config.Scopes, "oidc-scope", nil, "`SCOPE` to ask for beside openid, profile and email; may be repeated")
	cmd.MarkFlagsRequiredTogether("oidc-issuer", "oidc-client-id", "oidc-role")
}

// read returns what the flags say, nil if they name no provider. credentials is
// the directory of readSecret.
func (o *oidcOptions) read(cmd *cobra.Command, credentials string) (*idp.Config, error) {
	if o.config.Issuer == "" {
		for _, name := range []string{"oidc-secret-file", "oidc-name-claim", "oidc-role-claim", "oidc-scope"} {
			if cmd.Flags().Changed(name) {
				return nil, exit.Usagef("--%s goes with --oidc-issuer", name)
			}
		}
		return nil, nil
	}
	o.config.Roles = map[string]auth.Role{}
	for _, text := range o.roles {
		at := strings.LastIndex(text, "=") // names of groups may have one
		if at < 1 {
			return nil, exit.Usagef("--oidc-role %q: want VALUE=ROLE, such as ota-admins=administrator", text)
		}
		role, err := auth.ParseRole(text[at+1:])
		if err != nil {
			return nil, exit.Usagef("--oidc-role %q: %w", text, err)
		}
		o.config.Roles[text[:at]] = role
	}
	o.config.Scopes = slices.Compact(o.config.Scopes)
	if o.secretFile == "" {
		return &o.config, nil
	}
	secret, err := readSecret("client secret", o.secretFile, credentials)
	o.config.Secret = secret
	return &o.config, err
}
