// An issuer of access tokens with a key set at a URL: each line of standard input, the claims of a token in JSON with
// `alg` beside them, is answered by the token on a line. The first line tells the URL.
const crypto = require('crypto');
const http = require('http');
const readline = require('readline');

const keys = {
    RS256: crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ES256: crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    EdDSA: crypto.generateKeyPairSync('ed25519'),
};
const set = Object.entries(keys).map(([alg, pair]) => ({ ...pair.publicKey.export({ format: 'jwk' }), kid: alg, alg, use: 'sig' }));
const encode = value => Buffer.from(JSON.stringify(value)).toString('base64url');

function token(order) {
    const { alg = 'RS256', forged, ...claims } = order;
    const signed = `${encode({ alg, kid: alg, typ: 'JWT' })}.${encode(claims)}`;
    const key = forged ? crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey : keys[alg].privateKey;
    const hash = alg === 'EdDSA' ? null : 'sha256';
    const signature = crypto.sign(hash, Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
    return `${signed}.${signature.toString('base64url')}`;
}

const server = http.createServer((request, response) => {
    response.setHeader('content-type', 'application/jwk-set+json');
    response.end(JSON.stringify({ keys: set }));
});
server.listen(0, '127.0.0.1', () => {
    console.log(`http://127.0.0.1:${server.address().port}/keys`);
    readline.createInterface({ input: process.stdin })
        .on('line', line => console.log(token(JSON.parse(line))))
        .on('close', () => process.exit(0));
});
