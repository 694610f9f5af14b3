extension ProtobufWriter {
    /// Adds an OTLP `KeyValue`.
    mutating func attribute(_ number: Int, _ attribute: Attribute) {
        message(number) { pair in
            pair.string(OTLPField.KeyValue.key, attribute.name)
            pair.message(OTLPField.KeyValue.value) { $0.value(attribute.value) }
        }
    }

    /// Adds what an OTLP `AnyValue` has.
    private mutating func value(_ value: AttributeValue) {
        switch value {
        case .empty: break
        case .string(let text): string(OTLPField.AnyValue.string, text)
        case .bool(let flag): varint(OTLPField.AnyValue.bool, flag ? 1 : 0)
        case .int(let number): varint(OTLPField.AnyValue.int, UInt64(bitPattern: number))
        case .double(let number): fixed64(OTLPField.AnyValue.double, number.bitPattern)
        case .bytes(let bytes): self.bytes(OTLPField.AnyValue.bytes, bytes)
        case .array(let values):
            message(OTLPField.AnyValue.array) { list in
                for value in values { list.message(OTLPField.Values.values) { $0.value(value) } }
            }
        case .map(let members):
            message(OTLPField.AnyValue.map) { list in
                for member in members { list.attribute(OTLPField.Values.values, member) }
            }
        }
    }
}
