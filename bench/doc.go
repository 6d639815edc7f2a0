// Package bench measures the product beside its peers, in one run, so that the
// figures are ratios and the machine hardly matters: go test ./bench -v
package bench
