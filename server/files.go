package server

// What else a server has open besides its clients' connections: the database,
// listeners, connections to a store of images.
const ownFiles = 64

// filesFor returns how many connections there may be where a process may have
// that many files open: each may have an image open, and as many again are told
// that they are too many. Without that bound, whoever holds many connections
// would take the files from the database and from the images of all others.
func filesFor(want, openFiles int) int {
	return max(1, min(want, (openFiles-ownFiles)/3))
}

// boundByFiles lowers the bound of connections to what the system lets the
// process have open, and says so.
func (s *Server) boundByFiles() {
	limit, known := maxOpenFiles()
	if !known {
		return
	}
	want := s.cfg.MaxConnections
	if s.cfg.MaxConnections = filesFor(want, limit); s.cfg.MaxConnections < want {
		s.cfg.Log.Warn("server: fewer connections than configured, for the limit of open files: raise it (LimitNOFILE, ulimit -n)",
			"connections", s.cfg.MaxConnections, "configured", want, "open_files", limit)
	}
}
