/// The shape that OTLP's requests share: resources, scopes of instrumentation within them, and records in those.
enum OTLPRequest {
    typealias Visit = (
        _ resource: UnsafeRawBufferPointer?, _ scope: UnsafeRawBufferPointer?, _ record: UnsafeRawBufferPointer
    ) -> Void

    static func walk(_ body: UnsafeRawBufferPointer, _ visit: Visit) throws(ProtobufReader.Malformed) {
        try each(OTLPField.Request.resources, in: body) { group throws(ProtobufReader.Malformed) in
            // It may stand behind what it is about.
            let resource = try first(OTLPField.PerResource.resource, in: group)
            try each(OTLPField.PerResource.scopes, in: group) { inner throws(ProtobufReader.Malformed) in
                let scope = try first(OTLPField.PerScope.scope, in: inner)
                try each(OTLPField.PerScope.records, in: inner) { record throws(ProtobufReader.Malformed) in
                    visit(resource, scope, record)
                }
            }
        }
    }

    private static func each(
        _ number: Int, in message: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) throws(ProtobufReader.Malformed) -> Void
    ) throws(ProtobufReader.Malformed) {
        var reader = ProtobufReader(message)
        while let field = try reader.next() {
            if field.number == number, let bytes = field.bytes { try body(bytes) }
        }
    }

    private static func first(
        _ number: Int, in message: UnsafeRawBufferPointer
    ) throws(ProtobufReader.Malformed) -> UnsafeRawBufferPointer? {
        var reader = ProtobufReader(message)
        while let field = try reader.next() {
            if field.number == number, let bytes = field.bytes { return bytes }
        }
        return nil
    }
}
