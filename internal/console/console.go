// Package console is the server's web pages for operators: the fleet, devices
// and their lives, releases, rollouts, the audit log, keysets and settings.
//
// It is rendered here. Every page and every form works without scripts; htmx
// and console.js, both embedded, only keep pages up to date and show how far
// an upload is. The pages' policy allows no inline script or style.
//
// It does nothing by itself: it calls api.Management as the operator who is
// logged in, so that roles, audit records and refusals are those of the API.
// docs/console.md describes it to operators.
package console

import (
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/idp"
)

// A Handler is the console.
type Handler struct {
	service  *api.Service
	provider *idp.Provider // nil: people log in with tokens alone
	log      *slog.Logger
	now      func() time.Time
	assets   map[string]asset
	pages    map[string]*template.Template
	guard    *http.CrossOriginProtection
	memory   memory
	mux      *http.ServeMux
}

// New returns the console of a service. provider, log and now may be nil.
func New(service *api.Service, provider *idp.Provider, log *slog.Logger, now func() time.Time) *Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if now == nil {
		now = time.Now
	}
	h := &Handler{
		service: service, provider: provider, log: log, now: now,
		assets: loadAssets(), guard: http.NewCrossOriginProtection(), mux: http.NewServeMux(),
	}
	h.pages = loadPages(h.assets)
	h.routes()
	return h
}

func (h *Handler) routes() {
	h.mux.HandleFunc("GET /static/{tag}/{name}", h.serveAsset)
	h.mux.HandleFunc("POST /login", h.login)
	h.mux.HandleFunc("POST /logout", h.logout)
	if h.provider != nil {
		h.mux.HandleFunc("GET /login/oidc", h.beginSignOn)
		h.mux.HandleFunc("GET "+CallbackPath, h.finishSignOn)
	}

	h.show("GET /{$}", "overview", showOverview)

	h.show("GET /devices", "devices", showDevices)
	h.do("GET /devices/export", exportDevices)
	h.show("GET /devices/import", "import", showImport)
	h.show("POST /devices/import", "import", tryImport)
	h.show("POST /devices/import/yes", "import", importDevices)
	h.do("POST /devices/import/secrets", saveSecrets)
	h.show("GET /devices/{type}/{id}", "device", showDevice)
	h.show("POST /devices/edit", "bulk", askBulkEdit)
	h.do("POST /devices/edit/yes", bulkEditDevices)
	h.do("POST /devices/{type}/{id}/edit", editDevice)
	h.do("POST /devices/{type}/{id}/revoke", revokeDevice)
	h.do("POST /devices/{type}/{id}/retry", retryDevice)

	h.show("GET /exposure", "exposure", showExposure)

	h.show("GET /releases", "releases", showReleases)
	h.show("GET /releases/new", "upload", showUpload)
	h.show("GET /releases/{identity}", "release", showRelease)
	h.do("GET /releases/{identity}/sbom/{name}", downloadSBOM)
	h.do("POST /releases/new", publishRelease)
	h.do("POST /releases/{identity}/withdraw", withdrawRelease)

	h.show("GET /rollouts", "rollouts", showRollouts)
	h.show("GET /new-rollout", "draft", showNewRollout)
	h.show("POST /new-rollout/plan", "draft", planRollout)
	h.do("POST /new-rollout", createRollout)
	h.show("GET /rollouts/{name}", "rollout", showRollout)
	h.show("GET /rollouts/{name}/devices", "rollout-devices", showRolloutDevices)
	h.do("POST /rollouts/{name}/{action}", actOnRollout)

	h.show("GET /audit", "audit", showAudit)
	h.show("POST /audit/verify", "verified", verifyAudit)
	h.do("POST /audit/checkpoint", downloadCheckpoint)
	h.do("POST /audit/report", saveReport)

	h.show("GET /keys", "keys", showKeys)
	h.show("GET /keys/new", "keyset", showNewKeyset)
	h.show("POST /keys/new", "keyset", planKeyset)
	h.do("POST /keys/new/yes", publishKeyset)

	h.show("GET /settings", "settings", showSettings)
	h.show("POST /settings/tokens", "secret", addToken)
	h.do("POST /settings/tokens/{name}/revoke", revokeToken)
	h.show("POST /settings/tokens/{name}/rotate", "secret", rotateToken)
	h.show("POST /settings/codes", "secret", addCode)
	h.do("POST /settings/types/{type}", setType)

	h.show("GET /", "", nowhere)
}

// policy allows what the server itself sends, and nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// ServeHTTP answers one request. Without TLS there is no console: its cookie
// would be anybody's on the way.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil {
		http.Error(w, "The console needs TLS: use the server's https address.", http.StatusForbidden)
		return
	}
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	if !h.ownForm(r) {
		http.Error(w, "Requests from other sites are refused.", http.StatusForbidden)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// ownForm reports whether a request that may change something comes from a
// page of this console. Browsers say where a form stands, in Sec-Fetch-Site or
// at least in Origin; one that says nothing is refused: programs have the API.
func (h *Handler) ownForm(r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" {
		return false
	}
	return h.guard.Check(r) == nil
}
