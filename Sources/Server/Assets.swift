import CWebAssets
import Control
import Kernel

/// The page's style, scripts and mark, as they were embedded when Reeve was built.
public struct Assets: Sendable {
    struct Asset: Sendable {
        let contentType: String
        let bytes: [UInt8]
        let sha256: String
        /// Where pages find it: with its hash, so that a browser may keep it for good and never keeps an old one.
        let address: String
    }

    private let byName: [String: Asset]

    public init() {
        var byName: [String: Asset] = [:]
        for index in 0..<web_asset_count() {
            let asset = web_asset_at(index)
            let name = String(cString: asset.name)
            let bytes = Array(UnsafeBufferPointer(start: asset.bytes, count: asset.size))
            let sha256 = Digest.sha256(bytes)
            byName[name] = Asset(
                contentType: Self.contentType(name), bytes: bytes, sha256: sha256,
                address: "/assets/\(name)?v=\(sha256.prefix(16))")
        }
        self.byName = byName
    }

    /// The names of everything that is embedded.
    public var names: [String] { byName.keys.sorted() }

    /// What pages refer to.
    public var pageAssets: PageAssets { PageAssets { name in byName[name]?.address ?? "/assets/\(name)" } }

    public var routes: [Route] {
        [
            Route(
                .get, "/assets/{name}", .open, "A file of the page", shape: .page,
                handler: { request in try reply(to: request) })
        ]
    }

    private func reply(to request: APIRequest) throws -> APIReply {
        let name = request.parameter("name")
        guard let asset = byName[name] else { throw Problem.notFound("asset", name) }
        let etag = "\"\(asset.sha256)\""
        let isNamed = request.queryValue("v").map { asset.sha256.hasPrefix($0) && $0.count >= 8 } ?? false
        var headers = [
            ("etag", etag), ("cache-control", isNamed ? "public, max-age=31536000, immutable" : "no-cache"),
        ]
        if request.headers["if-none-match"] == etag { return APIReply(status: 304, headers: headers) }
        headers.append(("content-type", asset.contentType))
        return APIReply(status: 200, headers: headers, body: .bytes(asset.bytes))
    }

    private static func contentType(_ name: String) -> String {
        switch name.split(separator: ".").last {
        case "css": "text/css; charset=utf-8"
        case "js": "text/javascript; charset=utf-8"
        case "svg": "image/svg+xml"
        default: "application/octet-stream"
        }
    }
}
