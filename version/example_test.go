package version_test

import (
	"fmt"
	"slices"

	"github.com/secure-ota/secure-ota/version"
)

func Example() {
	var released []version.Version
	for _, text := range []string{"1.10.0", "1.9.0", "1.10.0-rc.1+build.7"} {
		v, err := version.Parse(text)
		if err != nil {
			fmt.Println(err)
			return
		}
		released = append(released, v)
	}
	slices.SortFunc(released, version.Compare)
	fmt.Println(released)
	fmt.Println(released[1].Core(), released[1].Prerelease(), released[1].Build())

	_, err := version.Parse("v1.10")
	fmt.Println(err)
	// Output:
	// [1.9.0 1.10.0-rc.1+build.7 1.10.0]
	// 1.10.0 rc.1 build.7
	// invalid version "v1.10": 2 of 3 numbers separated by dots; want x.y.z, such as 1.4.0, 1.4.0-rc.1 or 1.4.0+build.7
}
