import Kernel

/// Judges a bundle before anybody runs with it. Pure, so that it says the same on a laptop, in CI and at the door.
public struct BundleLint: Sendable {
    /// Findings that are told; what follows is as likely the same fault again.
    public static let findingsMax = 200

    /// Names of models that stay what they are though their name has no date, as a catalogue of one's own may have.
    let pins: @Sendable (String) -> Bool

    public init(pins: @escaping @Sendable (String) -> Bool = { _ in false }) {
        self.pins = pins
    }

    /// All that is wrong, by file and line; empty where nothing is.
    public func findings(_ bundle: AgentBundle) -> [BundleFinding] {
        let manifest = BundleManifest(bundle[AgentBundle.manifestPath]?.content ?? "")
        var found = manifest.findings
        found += models(manifest) + prompts(manifest, bundle) + tools(manifest, bundle) + values(manifest)
        found += BundleTool.nameFindings(manifest, bundle)
        let lines = bundle.files.flatMap(secretLines)
        found += lines
        // A value that is told for its shape need not be told for its key too.
        let told = Set(lines.map { "\($0.path):\($0.line)" })
        found += secrets(manifest).filter { !told.contains("\($0.path):\($0.line)") }
        return Array(
            found.sorted { ($0.path, $0.line, $0.column) < ($1.path, $1.line, $1.column) }.prefix(Self.findingsMax))
    }

    private func finding(_ rule: BundleRule, _ entry: BundleManifest.Entry, _ message: String) -> BundleFinding {
        BundleFinding(rule, AgentBundle.manifestPath, line: entry.line, column: entry.column, message)
    }

    // MARK: Models

    private func models(_ manifest: BundleManifest) -> [BundleFinding] {
        manifest[.models].compactMap { entry in
            guard let name = entry.value.string, !name.isEmpty, name.utf8.count <= 200 else {
                return finding(.schema, entry, "models.\(entry.name): the name of a model is expected")
            }
            return modelFault(name).map { finding(.unpinnedModel, entry, "models.\(entry.name): \($0)") }
        }
    }

    /// Why a model is not pinned; `nil` where it is. Providers keep aliases, such as `gpt-4o`, `claude-sonnet-4` and
    /// what ends in `latest`, and move them to newer versions; the same rule holds for the catalogue of the gateway.
    func modelFault(_ name: String) -> String? {
        guard !PinnedModel.isPinned(name), !pins(name) else { return nil }
        return "\"\(name)\" does not end in a date, so its provider may change what answers; name a version such as "
            + "gpt-4o-2024-08-06"
    }

    // MARK: Files

    private func prompts(_ manifest: BundleManifest, _ bundle: AgentBundle) -> [BundleFinding] {
        manifest[.prompts].compactMap { entry in
            guard let text = entry.value.string, !text.isEmpty else {
                return finding(.schema, entry, "prompts.\(entry.name): the path of a file is expected, or a text")
            }
            guard Self.isPath(text) else { return nil }
            if let fault = RelativePath.fault(text) {
                return finding(.schema, entry, "prompts.\(entry.name): \"\(text.prefix(80))\": \(fault)")
            }
            guard bundle[text] == nil else { return nil }
            return finding(.schema, entry, "prompts.\(entry.name): there is no file \"\(text.prefix(80))\"")
        }
    }

    /// A prompt of its own has blanks or ends like no file.
    static func isPath(_ text: String) -> Bool {
        guard !text.contains(where: \.isWhitespace) else { return false }
        return text.contains("/") || text.dropFirst().contains(".")
    }

    private func tools(_ manifest: BundleManifest, _ bundle: AgentBundle) -> [BundleFinding] {
        manifest[.tools].flatMap { entry -> [BundleFinding] in
            guard let path = entry.value.string, !path.isEmpty else {
                return [finding(.schema, entry, "tools.\(entry.name): the path of a tool's file is expected")]
            }
            if let fault = RelativePath.fault(path) {
                return [finding(.schema, entry, "tools.\(entry.name): \"\(path.prefix(80))\": \(fault)")]
            }
            guard let file = bundle[path] else {
                return [finding(.missingTool, entry, "there is no file \"\(path.prefix(80))\" in the bundle")]
            }
            return BundleTool.findings(file)
        }
    }

    // MARK: Values

    private func values(_ manifest: BundleManifest) -> [BundleFinding] {
        let sections: [(BundleKeys.Section, [(name: String, kind: BundleKeys.Kind)], BundleKeys.Kind?)] = [
            (.parameters, BundleKeys.parameters, .any), (.limits, BundleKeys.limits, BundleKeys.amount),
            (.memory, BundleKeys.memory, nil),
        ]
        return sections.flatMap { section, known, other in
            manifest[section].compactMap { entry in value(entry, of: section, known, other: other) }
        }
    }

    /// Names of one's own are free, but what is nearly a known one is a slip.
    private func value(
        _ entry: BundleManifest.Entry, of section: BundleKeys.Section,
        _ known: [(name: String, kind: BundleKeys.Kind)], other: BundleKeys.Kind?
    ) -> BundleFinding? {
        let key = "\(section.rawValue).\(entry.name)"
        var kind = BundleKeys.kind(of: entry.name, among: known)
        if kind == nil {
            if let near = NearestKey.of(entry.name, among: known.map(\.name)) {
                return finding(.unknownKey, entry, "\(key) is not known; did you mean \"\(near)\"?")
            }
            guard let other else {
                let names = known.map(\.name).joined(separator: ", ")
                return finding(.unknownKey, entry, "\(key) is not known; known are \(names)")
            }
            kind = other
        }
        guard let kind, !kind.admits(entry.value) else { return nil }
        return finding(.schema, entry, "\(key): \(kind.words)")
    }

    // MARK: Secrets

    private func secrets(_ manifest: BundleManifest) -> [BundleFinding] {
        let references: [BundleFinding] = manifest[.secrets].compactMap { entry in
            guard let text = entry.value.string, text.hasPrefix(SecretReference.scheme) else {
                return finding(
                    .secretValue, entry,
                    "secrets.\(entry.name): a reference is expected, secret://scope/owner/name, never a value")
            }
            guard SecretReference(text) == nil else { return nil }
            return finding(
                .schema, entry,
                "secrets.\(entry.name): secret://user/OWNER/NAME, secret://project/OWNER/NAME, secret://org/NAME or "
                    + "secret://platform/NAME is expected")
        }
        return references
            + manifest[.parameters].compactMap { entry in
                guard Self.holdsSecret(entry.name, entry.value) else { return nil }
                return finding(
                    .secretValue, entry,
                    "parameters.\(entry.name): a secret belongs under `secrets`, as a reference to it")
            }
    }

    private static let secretNames = ["apikey", "secret", "password", "passwd", "token", "credential", "privatekey"]

    /// A text under a name that secrets have.
    private static func holdsSecret(_ name: String, _ value: JSONValue) -> Bool {
        switch value {
        case .object(let object): return object.members.contains { holdsSecret($0.name, $0.value) }
        case .array(let values): return values.contains { holdsSecret(name, $0) }
        case .string(let text):
            let plain = name.lowercased().filter { $0.isLetter }
            return text.count >= 6 && !text.hasPrefix(SecretReference.scheme) && !text.hasPrefix("$")
                && secretNames.contains { plain.hasSuffix($0) }
        default: return false
        }
    }

    private func secretLines(_ file: BundleFile) -> [BundleFinding] {
        var found: [BundleFinding] = []
        var keys = KeyLines()
        for (index, line) in file.content.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            guard found.count < Self.findingsMax else { break }
            let keysBefore = keys.count
            _ = keys.take(line.utf8)
            let key = keys.count > keysBefore ? KeyLines.name : nil
            guard let name = key ?? SecretShape.first(in: String(line)) else { continue }
            found.append(
                BundleFinding(
                    .secretValue, file.path, line: index + 1,
                    "this looks like a secret (\(name)): keep it as a secret, name it under `secrets`, and replace it"))
        }
        return found
    }
}

extension BundleFinding {
    /// Without the value: a finding is printed, kept and shown.
    static func problem(_ findings: [BundleFinding]) -> Problem {
        let first = findings.first
        let more = findings.count > 1 ? " \(findings.count - 1) more follow." : ""
        return Problem(
            .bundleRefused, "\(first?.description ?? "The bundle is not acceptable.")\(more)",
            hint: "Correct what `findings` lists; `reeve config lint DIR` says the same without a server.",
            members: JSONObject([.init(name: "findings", value: .list(findings))]))
    }
}

extension ProblemCode {
    public static let bundleRefused = ProblemCode("bundle_refused", 422, "The bundle has faults")
}
