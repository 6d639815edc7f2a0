//go:build !linux

package slot

import "github.com/secure-ota/secure-ota/internal/fsatomic"

func dropCache(fsatomic.File) {}
