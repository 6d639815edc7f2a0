// Package threats holds nothing but tests: each executes a row of
// docs/threat-model.md, what an attacker with certain stolen keys and at a
// certain place can make a device do, and what he cannot.
package threats
