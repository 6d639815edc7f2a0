package main

import "github.com/secure-ota/secure-ota/internal/agent"

func cmdConfirm() command {
	return command{
		name: "confirm", short: "end a trial well: the running image stays",
		long: `
Confirms the image on trial: it boots from now on, and the security floor rises to
its own. Refused if no image is on trial. Works while the daemon runs.

  ota-agent confirm
`,
		setup: order(agent.OrderConfirm, "Confirmed."),
	}
}
