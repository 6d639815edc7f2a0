// Package rollout brings releases to a fleet in stages, and stops where a
// release does harm.
//
// A rollout offers one release to the devices of its target: stage after
// stage, no more than so many a minute, and never to more devices than may be
// lost. What a device may take is decided by package fleet; a rollout decides
// whether and when it is offered. A device counts as updated on its own
// authenticated word that the image of the release runs and is confirmed, and
// on nothing else (see [Evidence]).
//
// What it guarantees:
//
//   - Touched devices without evidence of success are never more than the
//     rollout's budget (Spec.MaxUnproven): a release that bricks every device
//     that it reaches stops there. The counters stand in the row of the rollout
//     and change in the transaction that records the offer or the report, so
//     that any number of servers on one database keep to one budget, one pace
//     and one state.
//   - A check that brings nothing new makes no statement, in a paused, a
//     rate-limited and an exhausted rollout neither.
//   - Every step is one transaction with its audit record. A server may be
//     killed between any two.
//   - Where two rollouts of a device type have a device in their target, the
//     one that was started last decides, and no other.
//
// It stops at what is signed: a rollout never makes a device take what package
// rollback or the device's keyset refuses.
package rollout
