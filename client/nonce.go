package client

// nonceBlock is how many nonces are reserved at a time: a write of the state
// for so many messages.
const nonceBlock = 64

// nextNonce returns a nonce that was never used: it reserves a block, in both
// copies of the state, before the first of it is used.
func (c *Client) nextNonce() (uint64, error) {
	if c.lost != nil {
		return 0, c.lost
	}
	if c.nonce == c.state.Nonce {
		if err := c.change(func(s *State) { s.Nonce += nonceBlock }); err != nil {
			return 0, err
		}
	}
	c.nonce++
	return c.nonce, nil
}
