// Sends one message by nodemailer, as the JSON on standard input says; prints what the server said.
process.env.NODE_PATH = '/usr/share/nodejs';
require('module').Module._initPaths();
const nodemailer = require('nodemailer');

const order = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const heard = entry => (data, text) => { if (data && data.tnx === 'server') console.log(text); };
const logger = Object.fromEntries(['trace', 'debug', 'info', 'warn', 'error', 'fatal'].map(level => [level, heard(level)]));
const options = {
    host: '127.0.0.1', port: order.port, secure: false, name: 'client.test', logger, debug: true,
    tls: { rejectUnauthorized: false }, requireTLS: Boolean(order.login), ignoreTLS: !order.login,
};
if (order.mechanism === 'XOAUTH2') {
    options.auth = { type: 'OAuth2', user: order.login, accessToken: order.password };
} else if (order.login) {
    options.auth = { user: order.login, pass: order.password };
    options.authMethod = order.mechanism;
}
nodemailer.createTransport(options)
    .sendMail({ envelope: { from: order.envelope, to: order.to }, raw: order.message })
    .catch(fault => console.error(fault.message));
