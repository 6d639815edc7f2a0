package dcbor

// UnmarshalFields is UnmarshalPayload on the long way, field by field.
func UnmarshalFields(data []byte, format uint64, v any) error {
	if err := Check(data); err != nil {
		return err
	}
	return unmarshalFields(data, format, v)
}
