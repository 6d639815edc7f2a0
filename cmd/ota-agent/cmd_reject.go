package main

import "github.com/secure-ota/secure-ota/internal/agent"

func cmdReject() command {
	return command{
		name: "reject", short: "end a trial badly: the previous image returns",
		long: `
Rejects the image on trial, or one that waits for its first boot. The previous image
boots next, and the rejected one is not tried again unless the server asks for it.
Works while the daemon runs. If the image runs and nothing supervises it, reboot.

  ota-agent reject
`,
		setup: order(agent.OrderReject, "Rejected: the previous image boots next."),
	}
}
