package console

import (
	"fmt"
	"sync"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
)

// Bounds of what the overview shows of the last day.
const (
	activityHours   = 24
	activityLife    = 20 * time.Second // between two looks at the log
	activityRecords = 5 * audit.MaxPage
)

// hour is what devices reported in one hour.
type hour struct {
	Begins              time.Time
	Confirmed, Reverted int
}

// activity remembers the last day's reports, by hour.
type activity struct {
	mu    sync.Mutex
	until time.Time
	hours []hour
}

// lastDay counts by hour what devices reported in the last day. The log is the
// same for everybody who may read it.
func (v *visit) lastDay() ([]hour, error) {
	a := &v.memory.activity
	a.mu.Lock()
	defer a.mu.Unlock()
	if v.now.Before(a.until) {
		return a.hours, nil
	}
	first := v.now.Truncate(time.Hour).Add(-(activityHours - 1) * time.Hour)
	hours := make([]hour, activityHours)
	for i := range hours {
		hours[i].Begins = first.Add(time.Duration(i) * time.Hour)
	}
	err := v.eachReport("confirmed", first, func(i int) { hours[i].Confirmed++ })
	if err == nil {
		err = v.eachReport("reverted", first, func(i int) { hours[i].Reverted++ })
	}
	if err != nil {
		return nil, err
	}
	a.hours, a.until = hours, v.now.Add(activityLife)
	return hours, nil
}

// eachReport tells the hour of each report of an event, of the newest
// activityRecords of them.
func (v *visit) eachReport(event string, first time.Time, tell func(hour int)) error {
	filter := audit.Filter{Action: "device.report." + event, Since: first, Limit: audit.MaxPage}
	for read := 0; read < activityRecords; {
		records, err := v.AuditRecords(v.ctx(), filter)
		if err != nil {
			return err
		}
		for _, r := range records {
			if i := int(r.Time.Sub(first) / time.Hour); i >= 0 && i < activityHours {
				tell(i)
			}
		}
		if read += len(records); len(records) < filter.Limit {
			return nil
		}
		filter.Before = records[len(records)-1].Seq
	}
	return nil
}

// A spark is a row of columns, one for each hour of a day.
type spark struct {
	Columns []sparkColumn
	words   string
}

// sparkColumn is one column, in units of its drawing: 10 wide, 40 high, from
// the top.
type sparkColumn struct {
	X                              int
	GoodY, GoodHigh, BadY, BadHigh float64
	Words                          string
}

const sparkHigh = 40.0

// String describes the spark to who cannot see it.
func (s spark) String() string { return s.words }

// sparkOf draws a day; nil if nothing happened in it.
func sparkOf(hours []hour) *spark {
	most, confirmed, reverted := 0, 0, 0
	for _, h := range hours {
		most = max(most, h.Confirmed+h.Reverted)
		confirmed += h.Confirmed
		reverted += h.Reverted
	}
	if most == 0 {
		return nil
	}
	s := &spark{words: fmt.Sprintf("in the last 24 hours %s confirmed, %s reverted", count(confirmed, "update"), number(reverted))}
	for i, h := range hours {
		c := sparkColumn{X: 10 * i, GoodHigh: sparkHigh * float64(h.Confirmed) / float64(most), BadHigh: sparkHigh * float64(h.Reverted) / float64(most)}
		c.GoodY = sparkHigh - c.GoodHigh
		c.BadY = c.GoodY - c.BadHigh
		c.Words = fmt.Sprintf("%s: %s confirmed, %s reverted", h.Begins.Format("15:04"), number(h.Confirmed), number(h.Reverted))
		s.Columns = append(s.Columns, c)
	}
	return s
}
