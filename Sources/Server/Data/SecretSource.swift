import Kernel

extension Settings.Secrets {
    /// Where the master key comes from: the one place that is named, or the data directory.
    func source(dataDirectory: String) throws -> MasterKeySource {
        var sources: [MasterKeySource] = []
        if let masterKeyFile { sources.append(.file(masterKeyFile)) }
        if masterKeyDescriptor > 0 { sources.append(.descriptor(Int32(masterKeyDescriptor))) }
        if let masterKeyCommand { sources.append(.command(masterKeyCommand)) }
        guard sources.count <= 1 else {
            throw Problem(
                .invalid, "More than one place is named for the master key.",
                hint: "Keep one of secrets.masterKeyFile, secrets.masterKeyDescriptor and secrets.masterKeyCommand.")
        }
        return sources.first ?? .made("\(dataDirectory)/\(DataDirectory.masterKeyName)")
    }
}
