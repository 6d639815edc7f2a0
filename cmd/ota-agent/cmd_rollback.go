package main

import "github.com/secure-ota/secure-ota/internal/agent"

func cmdRollback() command {
	return command{
		name: "rollback", short: "return to the image before this one",
		long: `
Returns to the retained image: the one confirmed before this one, if it is still
whole, not below the security floor, and within the rollback window that the
installed release signs. It boots next, on trial. Works while the daemon runs.

  ota-agent rollback
`,
		setup: order(agent.OrderRollback, "The previous image boots next, on trial."),
	}
}
