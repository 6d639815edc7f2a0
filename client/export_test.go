package client

// SetBlocks makes downloads small enough to be cut at every write.
func (c *Client) SetBlocks(block int, checkpoint int64) { c.block, c.checkpoint = block, checkpoint }

// DecodeState is decodeState.
func DecodeState(raw []byte) (State, error) { return decodeState(raw) }
